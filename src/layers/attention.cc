#include "layers/attention.h"

namespace pagoda {

Result<Attention> Attention::load(const WeightSource& source, const AttentionConfig& config,
                                  const NormConfig& norms) {
  Attention attention;
  attention.config_ = config;
  PAGODA_TRY(attention.qkv_,
             Linear::load(source, {TensorRole::kQuery, TensorRole::kKey, TensorRole::kValue}));
  if (config.qk_norm != QkNorm::kNone) {
    PAGODA_TRY(attention.q_norm_, RmsNorm::load(source, TensorRole::kQueryNorm, norms));
    PAGODA_TRY(attention.k_norm_, RmsNorm::load(source, TensorRole::kKeyNorm, norms));
  }
  PAGODA_TRY(attention.o_, Linear::load(source, {TensorRole::kOutput}));
  return attention;
}

void Attention::forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, const AttentionStep& step,
                        ComputeStream& stream) const {
  AttentionScratch& scratch = step.scratch;
  const Tensor qkv = Tensor::matrix(scratch.qkv.data(), DType::kF32, x.rows(), config_.qkv_size());
  const Tensor attended = Tensor::matrix(scratch.attended.data(), DType::kF32, x.rows(), config_.q_size());
  const Tensor q = columns_of(qkv, 0, config_.q_size());
  const Tensor k = columns_of(qkv, config_.q_size(), config_.kv_size());
  const Tensor v = columns_of(qkv, config_.q_size() + config_.kv_size(), config_.kv_size());
  qkv_.forward(qkv, x, Epilogue::kStore, stream);
  if (config_.qk_norm != QkNorm::kNone) {
    q_norm_.forward_heads(q, stream);
    k_norm_.forward_heads(k, stream);
  }
  // Q and K lie side by side: one call turns the heads of both.
  rope(qkv, step.positions, config_.num_heads + config_.num_kv_heads, config_.head_dim, step.rope, stream);
  kv_store(step.kv, k, v, step.batch, stream);
  AttnBatch batch = step.batch;
  batch.window = config_.window;
  batch.scale = config_.scale;
  batch.softcap = config_.softcap;
  const LinearInput out = o_.input(scratch.input, x.rows());
  paged_attention(attended, q, step.kv, batch, config_.num_heads, stream);
  out.convert(attended, stream);
  o_.forward(y, out, epilogue, stream);
}

}  // namespace pagoda
