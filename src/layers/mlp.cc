#include "layers/mlp.h"

namespace pagoda {

Result<GatedMlp> GatedMlp::load(const WeightSource& source, const MlpNames& names, bool has_bias) {
  GatedMlp mlp;
  const std::string gate_up[] = {names.gate, names.up};
  PAGODA_TRY(mlp.gate_up_, Linear::load(source, gate_up, has_bias, true));
  PAGODA_TRY(mlp.down_, Linear::load(source, {&names.down, 1}, has_bias));
  return mlp;
}

void GatedMlp::forward(const Tensor& residual, const MatmulInput& x, const Tensor& activated,
                       Buffer* down_room, ComputeStream& stream) const {
  const MatmulInput down_input = down_.input(down_room, x.rows);
  if (std::optional<Tensor> direct = down_input.in_place()) {
    gate_up_.forward_silu(*direct, x, stream);
  } else {
    gate_up_.forward_silu(activated, x, stream);
    convert_input(down_input, activated, stream);
  }
  down_.forward_add(residual, down_input, stream);
}

}  // namespace pagoda
