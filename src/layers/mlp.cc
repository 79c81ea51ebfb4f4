#include "layers/mlp.h"

namespace pagoda {
namespace {

Epilogue join_of(Activation activation) {
  return activation == Activation::kSilu ? Epilogue::kSiluMul : Epilogue::kGeluMul;
}

}  // namespace

Result<GatedMlp> GatedMlp::load(const WeightSource& source, const MlpConfig& config, int32_t expert) {
  GatedMlp mlp;
  mlp.config_ = config;
  PAGODA_TRY(mlp.gate_up_, Linear::load(source, {TensorRole::kGate, TensorRole::kUp}, true, expert));
  PAGODA_TRY(mlp.down_, Linear::load(source, {TensorRole::kDown}, false, expert));
  return mlp;
}

void GatedMlp::forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, MlpScratch* scratch,
                       ComputeStream& stream) const {
  const Epilogue join = join_of(config_.activation);
  const LinearInput down_input = down_.input(scratch->down_input, x.rows());
  if (std::optional<Tensor> direct = down_input.in_place()) {
    gate_up_.forward(*direct, x, join, stream);
  } else {
    const Tensor activated =
        Tensor::matrix(scratch->activated.data(), DType::kF32, x.rows(), config_.intermediate_size);
    gate_up_.forward(activated, x, join, stream);
    down_input.convert(activated, stream);
  }
  down_.forward(y, down_input, epilogue, stream);
}

Result<Mlp> Mlp::load(const WeightSource& source, const MlpConfig& config) {
  Mlp mlp;
  mlp.config_ = config;
  if (config.num_experts == 0) {
    PAGODA_TRY(GatedMlp dense, GatedMlp::load(source, config));
    mlp.experts_.push_back(std::move(dense));
    return mlp;
  }
  PAGODA_TRY(mlp.router_, Linear::load(source, {TensorRole::kRouter}));
  for (int32_t i = 0; i < config.num_experts; ++i) {
    PAGODA_TRY(GatedMlp expert, GatedMlp::load(source, config, i));
    mlp.experts_.push_back(std::move(expert));
  }
  return mlp;
}

void Mlp::forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, MlpScratch* scratch,
                  ComputeStream& stream) const {
  if (config_.num_experts > 0) return forward_experts(y, x, epilogue, scratch, stream);
  experts_[0].forward(y, x, epilogue, scratch, stream);
}

void Mlp::forward_experts(const Tensor& y, const LinearInput& x, Epilogue epilogue, MlpScratch* scratch,
                          ComputeStream& stream) const {
  const Tensor logits =
      Tensor::matrix(scratch->router_logits.data(), DType::kF32, x.rows(), config_.num_experts);
  router_.forward(logits, x, Epilogue::kStore, stream);
  scratch->routing.route(logits, config_.experts_per_token, config_.normalize_expert_weights, stream);
  const std::optional<Tensor> rows = x.in_place();
  PAGODA_CHECK(rows && rows->dtype == DType::kF32, "a router reads float32");
  for (int32_t i = 0; i < config_.num_experts; ++i) {
    const ExpertShare share = scratch->routing.of(i);
    const int64_t count = share.rows.size;
    if (count == 0) continue;
    const GatedMlp& expert = experts_[static_cast<std::size_t>(i)];
    const LinearInput input = expert.input().input(scratch->expert_input, count);
    for (const MatmulInput& form : input.forms()) gather_input(form, *rows, share, stream);
    const Tensor output = Tensor::matrix(scratch->expert_output.data(), DType::kF32, count, y.columns());
    expert.forward(output, input, Epilogue::kStore, scratch, stream);
    scatter_rows(y, output, share, epilogue == Epilogue::kStore, stream);
  }
}

std::vector<const Linear*> Mlp::linears() const {
  std::vector<const Linear*> all;
  if (config_.num_experts > 0) all.push_back(&router_);
  for (const GatedMlp& expert : experts_) {
    all.push_back(&expert.input());
    all.push_back(&expert.down());
  }
  return all;
}

}  // namespace pagoda
