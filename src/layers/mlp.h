#pragma once
#include <string>

#include "layers/linear.h"

namespace pagoda {

struct MlpNames {
  std::string gate, up, down;  // without `.weight`
};

// down(silu(gate(x)) * up(x)) (Shazeer, "GLU variants improve transformer", 2020).
class GatedMlp {
 public:
  static Result<GatedMlp> load(const WeightSource& source, const MlpNames& names, bool has_bias);

  // residual += mlp(x). x, residual: [num_tokens, hidden]; gate_up: room for [num_tokens, 2 * intermediate];
  // activated: for [num_tokens, intermediate].
  void forward(const Tensor& residual, const Tensor& x, const Tensor& gate_up, const Tensor& activated,
               Stream& stream) const;
  std::size_t bytes() const { return gate_up_.bytes() + down_.bytes(); }

 private:
  Linear gate_up_, down_;
};

}  // namespace pagoda
