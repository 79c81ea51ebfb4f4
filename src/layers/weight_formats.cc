#include "layers/weight_formats.h"

#include <algorithm>

namespace pagoda {
namespace {

bool is_vocabulary(TensorRole role) {
  return role == TensorRole::kEmbedding || role == TensorRole::kHead;
}

void add(std::vector<WeightFormat>* formats, const WeightFormat& format) {
  if (std::find(formats->begin(), formats->end(), format) == formats->end()) formats->push_back(format);
}

}  // namespace

WeightFormat WeightFormats::of(TensorRole role, const StoredTensor* stored) const {
  if (role == TensorRole::kRouter) return unquantized(DType::kF32);  // its choices hang on small differences
  if (stored != nullptr && stored->quant.scheme != QuantScheme::kNone)
    return nearest_format(stored->quant, stored->dtype, dtype);
  return (is_vocabulary(role) ? vocabulary : layers).value_or(unquantized(dtype));
}

UsedFormats WeightFormats::used(std::span<const TensorSpec> list, const Checkpoint* checkpoint) const {
  UsedFormats used;
  used.common = unquantized(dtype);
  for (const TensorSpec& tensor : list) {
    if (tensor.shape.size() < 2 || tensor.role == TensorRole::kRouter) continue;
    for (const TensorSource& source : tensor.sources) {
      const StoredTensor* stored = checkpoint == nullptr ? nullptr : checkpoint->find(source.name);
      if (stored == nullptr && checkpoint != nullptr)
        continue;  // optional, or missing: said when it is loaded
      add(is_vocabulary(tensor.role) ? &used.vocabulary : &used.layers, of(tensor.role, stored));
    }
  }
  return used;
}

std::vector<WeightFormat> UsedFormats::all() const {
  std::vector<WeightFormat> all = layers;
  all.insert(all.end(), vocabulary.begin(), vocabulary.end());
  if (is_mixed()) all.push_back(common);
  return all;
}

}  // namespace pagoda
