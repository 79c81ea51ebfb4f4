#pragma once
#include <optional>
#include <span>
#include <vector>

#include "model/tensor_list.h"
#include "ops/matmul.h"
#include "weights/checkpoint.h"

namespace pagoda {

// A Linear's packed parts; projections that would be more are packed in one format.
inline constexpr int32_t kLinearPartsMax = 4;

// What the matrices of a model are packed in.
struct UsedFormats {
  std::vector<WeightFormat> layers;  // distinct, in the list's order
  std::vector<WeightFormat> vocabulary;
  std::vector<WeightFormat> others;  // of routers, and of one product's matrices that are stored in several

  bool is_mixed() const { return layers.size() > 1; }
  std::vector<WeightFormat> all() const;
  int32_t max_input_parts() const { return is_mixed() ? kLinearPartsMax : 1; }  // of any Linear, at most
};

// In which format each matrix of a model is packed: the scheme travels with the tensor.
struct WeightFormats {
  DType dtype = DType::kF32;                       // F32, F16 or BF16: of what is stored as numbers, but for:
  std::optional<WeightFormat> layers, vocabulary;  // what that is quantized to while it is loaded

  // Of the tensor with this role. stored: null where its numbers will be made in `dtype`.
  WeightFormat of(TensorRole role, const StoredTensor* stored) const;
  // checkpoint: null for dummy weights.
  UsedFormats used(std::span<const TensorSpec> list, const Checkpoint* checkpoint) const;
};

}  // namespace pagoda
