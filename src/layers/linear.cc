#include "layers/linear.h"

#include <utility>

namespace pagoda {
namespace {

// Some rows of a stored tensor.
struct RowRange {
  const StoredTensor* stored;
  int64_t begin, count;
  bool is_whole() const { return count == stored->shape[0]; }
};

Result<RowRange> find(const WeightSource& source, const TensorSource& tensor) {
  const StoredTensor* stored = source.checkpoint.find(tensor.name);
  if (stored == nullptr) return invalid_argument("the checkpoint has no tensor '" + tensor.name + "'");
  const int64_t count = tensor.num_rows > 0 ? tensor.num_rows : stored->shape[0];
  PAGODA_CHECK(tensor.row_begin + count <= stored->shape[0], "rows of the tensor");
  return RowRange{stored, tensor.row_begin, count};
}

// Neighbouring slices of a stored tensor are one range, but for those that a gated weight tells apart.
Result<std::vector<RowRange>> find_rows(const WeightSource& source,
                                        std::span<const TensorSpec* const> tensors, bool gated) {
  std::vector<RowRange> ranges;
  for (const TensorSpec* tensor : tensors)
    for (const TensorSource& part : tensor->sources) {
      PAGODA_TRY(RowRange range, find(source, part));
      const bool continues = !ranges.empty() && ranges.back().stored == range.stored &&
                             ranges.back().begin + ranges.back().count == range.begin;
      if (continues && !gated)
        ranges.back().count += range.count;
      else
        ranges.push_back(range);
    }
  return ranges;
}

// What a packed weight is kept under: the names of its parts.
std::string store_name(std::span<const RowRange> ranges) {
  std::string text;
  for (const RowRange& range : ranges) {
    text += (text.empty() ? "" : " ") + range.stored->name;
    if (!range.is_whole())
      text += "[" + std::to_string(range.begin) + ":" + std::to_string(range.begin + range.count) + "]";
  }
  return text;
}

}  // namespace

Result<std::vector<float>> load_vector(const WeightSource& source, const TensorSpec& tensor) {
  std::vector<float> vector;
  for (const TensorSource& part : tensor.sources) {
    PAGODA_TRY(const RowRange range, find(source, part));
    PAGODA_TRY(std::vector<float> numbers, read_floats(source.checkpoint, range.stored->name));
    vector.insert(vector.end(), numbers.begin() + range.begin, numbers.begin() + range.begin + range.count);
  }
  return vector;
}

Result<std::unique_ptr<PackedWeight>> load_packed(const WeightSource& source,
                                                  std::span<const TensorSpec* const> tensors,
                                                  const WeightFormat& format, bool gated) {
  PAGODA_TRY(const std::vector<RowRange> ranges, find_rows(source, tensors, gated));
  PackedWeight::Header header{.format = format, .is_gated = gated};
  for (const RowRange& range : ranges) {
    PAGODA_CHECK(range.stored->shape.size() == 2, "a weight is a matrix");
    header.n += range.count;
    header.k = range.stored->shape[1];
  }
  const std::string name = store_name(ranges);
  if (source.store != nullptr)
    if (std::unique_ptr<PackedWeight> kept = source.store->find(name, header)) return kept;

  std::vector<Weight> parts;
  Weight whole;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (i == 0 || ranges[i].stored != ranges[i - 1].stored) {
      PAGODA_TRY(whole, source.checkpoint.weight(ranges[i].stored->name));
      PAGODA_RETURN_IF_ERROR(check_weight(whole));
    }
    parts.push_back(whole.rows_of(ranges[i].begin, ranges[i].count));
  }
  PAGODA_TRY(std::unique_ptr<PackedWeight> packed, pack_weight(parts, format, gated, source.stream));
  for (const Weight& part : parts)
    for (const std::span<const std::byte> bytes : {part.data, part.scales, part.zeros})
      source.checkpoint.release(bytes);
  if (source.store != nullptr) source.store->add(name, *packed);
  return packed;
}

Result<Linear> Linear::load(const WeightSource& source, std::initializer_list<TensorRole> roles, bool gated) {
  Linear linear;
  std::vector<float> biases;
  std::vector<const TensorSpec*> weights;
  for (TensorRole role : roles) {
    weights.push_back(find_tensor(source.tensors, role));
    PAGODA_CHECK(weights.back() != nullptr, "a matrix of the list");
    const TensorSpec* bias = find_tensor(source.tensors, role, -1, true);
    if (bias == nullptr) continue;
    PAGODA_TRY(std::vector<float> numbers, load_vector(source, *bias));
    biases.insert(biases.end(), numbers.begin(), numbers.end());
  }
  PAGODA_TRY(linear.weight_, load_packed(source, weights, source.format, gated));
  if (biases.empty()) return linear;
  if (static_cast<int64_t>(biases.size()) != linear.weight_->n())
    return invalid_argument("the biases of '" + weights[0]->sources[0].name + "' have " +
                            std::to_string(biases.size()) + " numbers for " +
                            std::to_string(linear.weight_->n()) + " outputs");
  linear.bias_ = pack_bias(*linear.weight_, biases);
  return linear;
}

}  // namespace pagoda
