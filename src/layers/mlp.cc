#include "layers/mlp.h"

namespace pagoda {

Result<GatedMlp> GatedMlp::load(const WeightSource& source, const MlpConfig& config) {
  GatedMlp mlp;
  mlp.config_ = config;
  PAGODA_TRY(mlp.gate_up_, Linear::load(source, {TensorRole::kGate, TensorRole::kUp}, true));
  PAGODA_TRY(mlp.down_, Linear::load(source, {TensorRole::kDown}));
  return mlp;
}

void GatedMlp::forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, MlpScratch* scratch,
                       ComputeStream& stream) const {
  const LinearInput down_input = down_.input(&scratch->down_input, x.rows());
  if (std::optional<Tensor> direct = down_input.in_place()) {
    gate_up_.forward(*direct, x, Epilogue::kSiluMul, stream);
  } else {
    const Tensor activated =
        Tensor::matrix(scratch->activated.data(), DType::kF32, x.rows(), config_.intermediate_size);
    gate_up_.forward(activated, x, Epilogue::kSiluMul, stream);
    down_input.convert(activated, stream);
  }
  down_.forward(y, down_input, epilogue, stream);
}

}  // namespace pagoda
