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
    return norm;
  }
  // x: [num_tokens, hidden] float32; y: what the layer behind the norm reads, in each of its forms.
  void forward(std::span<const MatmulInput> y, const Tensor& x, ComputeStream& stream) const {
    for (const MatmulInput& form : y) rms_norm(form, x, weight_.data(), eps_, stream);
  }

 private:
  std::vector<float> weight_;
  float eps_ = 0;
};

}  // namespace pagoda
