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
  for (const TensorSpec& tensor : list) {
    if (tensor.shape.size() < 2) continue;
    for (const TensorSource& source : tensor.sources) {
      const StoredTensor* stored = checkpoint == nullptr ? nullptr : checkpoint->find(source.name);
      if (stored == nullptr && checkpoint != nullptr)
        continue;  // optional, or missing: said when it is loaded
      std::vector<WeightFormat>* formats = is_vocabulary(tensor.role)           ? &used.vocabulary
                                           : tensor.role == TensorRole::kRouter ? &used.others
                                                                                : &used.layers;
      add(formats, of(tensor.role, stored));
    }
  }
  if (used.is_mixed()) add(&used.others, unquantized(dtype));
  return used;
}

std::vector<WeightFormat> UsedFormats::all() const {
  std::vector<WeightFormat> all = layers;
  all.insert(all.end(), vocabulary.begin(), vocabulary.end());
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

}  // namespace pagoda
