#include "layers/linear.h"

#include <utility>

namespace pagoda {
namespace {

Result<const StoredTensor*> find(const WeightSource& source, const std::string& name) {
  const StoredTensor* stored = source.checkpoint.find(name);
  if (stored == nullptr) return invalid_argument("the checkpoint has no tensor '" + name + "'");
  return stored;
}

}  // namespace

Result<std::vector<float>> load_vector(const WeightSource& source, const std::string& name) {
  PAGODA_TRY(const StoredTensor* stored, find(source, name));
  return to_floats(source.checkpoint.read(*stored), stored->file);
}

Result<std::unique_ptr<PackedWeight>> load_packed(const WeightSource& source,
                                                  std::span<const std::string> names,
                                                  const WeightFormat& format, bool gated) {
  std::vector<const StoredTensor*> stored;
  PackedWeight::Header header{.format = format, .is_gated = gated};
  std::string store_name;
  for (const std::string& name : names) {
    PAGODA_TRY(const StoredTensor* tensor, find(source, name));
    PAGODA_CHECK(tensor->shape.size() == 2, "a weight is a matrix");
    stored.push_back(tensor);
    header.n += tensor->shape[0];
    header.k = tensor->shape[1];
    store_name += (store_name.empty() ? "" : " ") + name;
  }
  if (source.store != nullptr)
    if (std::unique_ptr<PackedWeight> kept = source.store->find(store_name, header)) return kept;

  std::vector<HeldTensor> held;
  std::vector<QuantTensor> parts;
  for (const StoredTensor* tensor : stored) {
    held.push_back(source.checkpoint.read(*tensor));
    parts.push_back(held.back().tensor);
  }
  PAGODA_TRY(std::unique_ptr<PackedWeight> packed, pack_weight(parts, format, gated, source.stream));
  for (const StoredTensor* tensor : stored) source.checkpoint.release(*tensor);
  if (source.store != nullptr) source.store->add(store_name, *packed);
  return packed;
}

Result<Linear> Linear::load(const WeightSource& source, std::span<const std::string> names, bool has_bias,
                            bool gated) {
  Linear linear;
  std::vector<float> biases;
  std::vector<std::string> weights;
  for (const std::string& name : names) {
    weights.push_back(name + ".weight");
    if (!has_bias) continue;
    PAGODA_TRY(std::vector<float> bias, load_vector(source, name + ".bias"));
    biases.insert(biases.end(), bias.begin(), bias.end());
  }
  PAGODA_TRY(linear.weight_, load_packed(source, weights, source.format, gated));
  if (has_bias) {
    if (static_cast<int64_t>(biases.size()) != linear.weight_->n())
      return invalid_argument("the biases of '" + names[0] + "' have " + std::to_string(biases.size()) +
                              " numbers for " + std::to_string(linear.weight_->n()) + " outputs");
    linear.bias_ = pack_bias(*linear.weight_, biases);
  }
  return linear;
}

}  // namespace pagoda
