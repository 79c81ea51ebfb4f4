// The layers room: the pieces that a decoder is made of, each a few weights and a call or two of ops.
// Activations are float32 matrices [num_tokens, features]; the residual stream is added to in place. A layer
// owns its packed weights, is immutable once loaded and holds no state of a request; it allocates nothing
// while a step runs. It knows its shapes, not the model around it, and never switches on a weight's scheme.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "ops/matmul.h"
#include "ops/stream.h"
#include "tensor/tensor.h"
#include "weights/checkpoint.h"

namespace pagoda {

// Where weights come from while a model is loaded. The checkpoint's names and shapes have been checked.
struct WeightSource {
  const Checkpoint& checkpoint;
  DType dtype;  // weight matrices are converted to it: F32, BF16 or F16
  Stream& stream;
};

// A tensor as floats: norm weights, biases.
Result<std::vector<float>> load_vector(const WeightSource& source, const std::string& name);
// The rows of these weight matrices, one under the other, as one.
Result<std::unique_ptr<PackedWeight>> load_packed(const WeightSource& source,
                                                  std::span<const std::string> names);

// y = x W^T + b. Several projections of the same input are one product.
class Linear {
 public:
  // names: without `.weight` and `.bias`.
  static Result<Linear> load(const WeightSource& source, std::span<const std::string> names, bool has_bias);

  // y: [num_tokens, out features], x: [num_tokens, in features].
  void forward(const Tensor& y, const Tensor& x, Stream& stream) const { run(y, x, false, stream); }
  // y += x W^T + b.
  void forward_add(const Tensor& y, const Tensor& x, Stream& stream) const { run(y, x, true, stream); }
  std::size_t bytes() const { return weight_->bytes(); }

 private:
  void run(const Tensor& y, const Tensor& x, bool accumulate, Stream& stream) const {
    matmul(y, x, *weight_, bias_.empty() ? nullptr : bias_.data(), accumulate, stream);
  }
  std::unique_ptr<PackedWeight> weight_;
  std::vector<float> bias_;  // empty: none
};

}  // namespace pagoda
