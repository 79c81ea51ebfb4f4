#pragma once
#include <vector>

#include "layers/linear.h"
#include "ops/norm.h"

namespace pagoda {

class RmsNorm {
 public:
  // scale: of what it gives.
  static Result<RmsNorm> load(const WeightSource& source, TensorRole role, const NormConfig& config,
                              float scale = 1) {
    const TensorSpec* tensor = find_tensor(source.tensors, role);
    PAGODA_CHECK(tensor != nullptr, "a norm of the list");
    RmsNorm norm;
    norm.eps_ = config.eps;
    PAGODA_TRY(std::vector<float> weight, load_vector(source, *tensor));
    for (float& number : weight) number = (config.adds_one ? 1 + number : number) * scale;
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
  // In place, each run of as many columns as the norm has weights by itself.
  void forward_heads(const Tensor& x, ComputeStream& stream) const {
    const DeviceSpan<const float> weight = weight_.span<const float>();
    const auto head_dim = static_cast<int32_t>(weight.size);
    rms_norm_heads(x, static_cast<int32_t>(x.columns()) / head_dim, head_dim, weight, eps_, stream);
  }

 private:
  DeviceBuffer weight_;
  float eps_ = 0;
};

}  // namespace pagoda
