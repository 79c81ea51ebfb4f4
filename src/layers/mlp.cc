#include "layers/mlp.h"

#include "ops/activation.h"

namespace pagoda {

Result<GatedMlp> GatedMlp::load(const WeightSource& source, const MlpNames& names, bool has_bias) {
  GatedMlp mlp;
  const std::string gate_up[] = {names.gate, names.up};
  PAGODA_TRY(mlp.gate_up_, Linear::load(source, gate_up, has_bias));
  PAGODA_TRY(mlp.down_, Linear::load(source, {&names.down, 1}, has_bias));
  return mlp;
}

void GatedMlp::forward(const Tensor& residual, const Tensor& x, const Tensor& gate_up,
                       const Tensor& activated, Stream& stream) const {
  gate_up_.forward(gate_up, x, stream);
  silu_mul(activated, gate_up, stream);
  down_.forward_add(residual, activated, stream);
}

}  // namespace pagoda
