#pragma once
#include <vector>

#include "layers/linear.h"
#include "ops/norm.h"

namespace pagoda {

class RmsNorm {
 public:
  static Result<RmsNorm> load(const WeightSource& source, TensorRole role, const NormConfig& config) {
    const TensorSpec* tensor = find_tensor(source.tensors, role);
    PAGODA_CHECK(tensor != nullptr, "a norm of the list");
    RmsNorm norm;
    norm.eps_ = config.eps;
    PAGODA_TRY(norm.weight_, load_vector(source, *tensor));
    if (config.adds_one)
      for (float& weight : norm.weight_) weight += 1;
    return norm;
  }
  // x: [num_tokens, hidden] float32; y: what the layer behind the norm reads, in each of its forms.
  void forward(std::span<const MatmulInput> y, const Tensor& x, ComputeStream& stream) const {
    for (const MatmulInput& form : y) rms_norm(form, x, weight_.data(), eps_, stream);
  }
  // y += norm(x); both [num_tokens, hidden] float32.
  void forward_add(const Tensor& y, const Tensor& x, ComputeStream& stream) const {
    rms_norm_add(y, x, weight_.data(), eps_, stream);
  }
  // In place, each of the first num_heads heads of every row by itself.
  void forward_heads(const Tensor& x, int32_t num_heads, ComputeStream& stream) const {
    rms_norm_heads(x, num_heads, static_cast<int32_t>(weight_.size()), weight_.data(), eps_, stream);
  }

 private:
  std::vector<float> weight_;
  float eps_ = 0;
};

}  // namespace pagoda
