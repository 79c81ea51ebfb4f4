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
    PAGODA_TRY(std::vector<float> weight, load_vector(source, *tensor));
    if (config.adds_one)
      for (float& number : weight) number += 1;
    norm.weight_ = DeviceBuffer::copy_of(source.stream.memory(), std::as_bytes(std::span(weight)));
    return norm;
  }
  // x: [num_tokens, hidden] float32; y: what the layer behind the norm reads, in each of its forms.
  void forward(std::span<const MatmulInput> y, const Tensor& x, ComputeStream& stream) const {
    for (const MatmulInput& form : y) rms_norm(form, x, weight_.span<const float>(), eps_, stream);
  }
  // y += norm(x); both [num_tokens, hidden] float32.
  void forward_add(const Tensor& y, const Tensor& x, ComputeStream& stream) const {
    rms_norm_add(y, x, weight_.span<const float>(), eps_, stream);
  }
  // In place, each of the first num_heads heads of every row by itself.
  void forward_heads(const Tensor& x, int32_t num_heads, ComputeStream& stream) const {
    const DeviceSpan<const float> weight = weight_.span<const float>();
    rms_norm_heads(x, num_heads, static_cast<int32_t>(weight.size), weight, eps_, stream);
  }

 private:
  DeviceBuffer weight_;
  float eps_ = 0;
};

}  // namespace pagoda
