#pragma once
#include <string>
#include <vector>

#include "layers/linear.h"
#include "ops/norm.h"

namespace pagoda {

class RmsNorm {
 public:
  static Result<RmsNorm> load(const WeightSource& source, const std::string& name, float eps) {
    RmsNorm norm;
    norm.eps_ = eps;
    PAGODA_TRY(norm.weight_, load_vector(source, name + ".weight"));
    return norm;
  }
  // x: [num_tokens, hidden] float32; y: what the layer behind the norm reads.
  void forward(const MatmulInput& y, const Tensor& x, ComputeStream& stream) const {
    rms_norm(y, x, weight_.data(), eps_, stream);
  }

 private:
  std::vector<float> weight_;
  float eps_ = 0;
};

}  // namespace pagoda
