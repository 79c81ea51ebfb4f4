// The layers room: the pieces that a decoder is made of, each a few weights and a call or two of ops.
// Activations are float32 matrices [num_tokens, features], or MatmulInputs where a product reads them; the
// residual stream is added to in place. A layer
// owns its packed weights, is immutable once loaded and holds no state of a request; it allocates nothing
// while a step runs. It knows its own row of the layer table, not the model around it, and never switches on
// a weight's scheme.
#pragma once
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/tensor_list.h"
#include "ops/compute_stream.h"
#include "ops/matmul.h"
#include "packed/packed_store.h"
#include "tensor/tensor.h"
#include "weights/checkpoint.h"

namespace pagoda {

// Where weights come from while a model is loaded. The checkpoint's names and shapes have been checked.
struct WeightSource {
  const Checkpoint& checkpoint;
  std::span<const TensorSpec> tensors;  // those of the layer that is being loaded; else all
  WeightFormat format;                  // of the layers' weight matrices
  WeightFormat vocabulary_format;       // of the embedding and the head
  ComputeStream& stream;
  PackedStore* store = nullptr;  // asked for packed weights first, handed those that it has not; null: none
};

// A tensor of the list as floats: norm weights, biases.
Result<std::vector<float>> load_vector(const WeightSource& source, const TensorSpec& tensor);
// The rows of these weight matrices as one: one under the other, or a gate and its other half.
Result<std::unique_ptr<PackedWeight>> load_packed(const WeightSource& source,
                                                  std::span<const TensorSpec* const> tensors,
                                                  const WeightFormat& format, bool gated = false);

// y = x W^T + b. Several projections of the same input are one product.
class Linear {
 public:
  // The matrices of these roles, one under the other, with the biases that the list has for them. gated: two
  // of them, for an epilogue that joins them.
  static Result<Linear> load(const WeightSource& source, std::initializer_list<TensorRole> roles,
                             bool gated = false);

  // Room for num_tokens rows of what this layer reads, in the form that its weight asks for.
  MatmulInput input(Buffer* room, int64_t num_tokens) const {
    return make_input(*weight_, room->data(), num_tokens);
  }
  std::size_t input_bytes(int64_t num_tokens) const { return pagoda::input_bytes(*weight_, num_tokens); }

  // y: [num_tokens, out features] float32; kSiluMul: [num_tokens, out features / 2], float32 or bfloat16.
  void forward(const Tensor& y, const MatmulInput& x, Epilogue epilogue, ComputeStream& stream) const {
    matmul(y, x, *weight_, bias(), epilogue, stream);
  }
  std::size_t bytes() const { return weight_->bytes(); }
  const PackedWeight& weight() const { return *weight_; }

 private:
  const float* bias() const { return bias_.empty() ? nullptr : bias_.data(); }
  std::unique_ptr<PackedWeight> weight_;
  std::vector<float> bias_;  // in packed order; empty: none
};

}  // namespace pagoda
