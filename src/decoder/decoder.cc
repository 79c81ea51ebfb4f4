#include "decoder/decoder.h"

#include <algorithm>
#include <new>

#include "model/rope_frequencies.h"
#include "ops/elementwise.h"
#include "ops/gather.h"
#include "weights/check_tensors.h"

namespace pagoda {
namespace {

Tensor floats(const DeviceBuffer& buffer, int64_t rows, int64_t columns) {
  return Tensor::matrix(buffer.data(), DType::kF32, rows, columns);
}

Status check_rope_tables(const ModelConfig& config, int64_t max_positions) {
  constexpr uint64_t kRopeBytesMax = 4ull << 30;
  uint64_t bytes = 0;
  for (const RopeConfig& rope : config.ropes)
    bytes += static_cast<uint64_t>(max_positions) * static_cast<uint64_t>(rope.rotary_dim) * sizeof(float);
  if (bytes <= kRopeBytesMax) return {};
  return invalid_argument("a context of " + std::to_string(max_positions) +
                          " positions needs too large a table of angles: use a smaller --max-model-len");
}

}  // namespace

Decoder::Decoder(const ModelConfig& config, int64_t max_positions, DeviceMemory& memory)
    : config_(config), max_positions_(max_positions) {
  for (const RopeConfig& rope : config.ropes)
    ropes_.emplace_back(rope_frequencies(rope, max_positions), rope.magnitude, max_positions, memory);
}

Result<Decoder::Layer> Decoder::load_layer(const LayerConfig& config, float residual_scale,
                                           const WeightSource& source) {
  Layer layer;
  PAGODA_TRY(layer.attention_branch,
             ResidualBranch::load(source, TensorRole::kPreAttentionNorm, TensorRole::kPostAttentionNorm,
                                  config.norms, residual_scale));
  PAGODA_TRY(layer.attention, Attention::load(source, config.attention, config.norms));
  PAGODA_TRY(layer.mlp_branch, ResidualBranch::load(source, TensorRole::kPreMlpNorm, TensorRole::kPostMlpNorm,
                                                    config.norms, residual_scale));
  PAGODA_TRY(layer.mlp, Mlp::load(source, config.mlp));
  return layer;
}

Result<std::unique_ptr<Decoder>> Decoder::load(const ModelSpec& spec, const Checkpoint& checkpoint,
                                               const DecoderOptions& options, ComputeStream& stream) {
  const std::vector<TensorSpec> tensors = tensor_list(spec);
  PAGODA_RETURN_IF_ERROR(check_tensors(checkpoint, tensors, spec.ignored));
  const TensorSpec* embedding = find_tensor(tensors, TensorRole::kEmbedding);
  const DType stored = checkpoint.find(embedding->sources[0].name)->dtype;
  const bool is_half = stored == DType::kBF16 || stored == DType::kF16;
  const DType dtype = options.dtype.value_or(is_half ? stored : DType::kF32);
  const WeightSource source{
      checkpoint, tensors, {dtype, options.layers_format, options.vocabulary_format}, stream, options.store};
  const int64_t max_positions =
      options.max_positions > 0 ? options.max_positions : spec.config.context_length;
  PAGODA_RETURN_IF_ERROR(check_rope_tables(spec.config, max_positions));
  try {
    PAGODA_TRY(std::unique_ptr<Decoder> decoder, load_weights(spec.config, source, max_positions));
    decoder->dtype_ = dtype;
    return decoder;
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted,
                  "too little memory for the weights: use a smaller --dtype or model");
  }
}

Result<std::unique_ptr<Decoder>> Decoder::load_weights(const ModelConfig& config, const WeightSource& source,
                                                       int64_t max_positions) {
  std::unique_ptr<Decoder> decoder(new Decoder(config, max_positions, source.stream.memory()));
  PAGODA_TRY(decoder->vocabulary_, Vocabulary::load(source, config.tied_head));
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    WeightSource of_layer = source;
    of_layer.tensors = layer_tensors(source.tensors, static_cast<int32_t>(i));
    PAGODA_TRY(Layer layer, load_layer(config.layers[i], config.residual_scale, of_layer));
    decoder->layers_.push_back(std::move(layer));
  }
  PAGODA_TRY(decoder->final_norm_,
             RmsNorm::load(source, TensorRole::kFinalNorm, config.final_norm, config.logit_scale));
  return decoder;
}

void Decoder::forward(const ForwardInputs& inputs, std::span<const KvLayerView> kv, Activations* activations,
                      ComputeStream& stream) const {
  PAGODA_CHECK(inputs.num_tokens <= activations->max_tokens(), "a step fits the room for activations");
  PAGODA_CHECK(kv.size() == layers_.size(), "a cache for every layer");
  const int64_t n = inputs.num_tokens;
  const Tensor residual = floats(activations->residual_, n, config_.hidden_size);
  const Tensor room = floats(activations->sublayer_, n, config_.hidden_size);
  AttentionScratch& scratch = activations->attention_;

  vocabulary_.embed(residual, inputs.input_ids, config_.embedding_scale, stream);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const LayerConfig& config = config_.layers[i];
    PAGODA_DCHECK(static_cast<std::size_t>(config.kv_group) < inputs.groups.size(),
                  "a batch for every group");
    const AttentionStep step{inputs.positions, ropes_[static_cast<std::size_t>(config.rope)], kv[i],
                             inputs.groups[static_cast<std::size_t>(config.kv_group)], scratch};
    const LinearInput attention_input = layer.attention.input().input(scratch.input, n);
    const ResidualBranch& attention = layer.attention_branch;
    attention.read(attention_input, residual, stream);
    layer.attention.forward(attention.target(residual, room), attention_input, attention.epilogue(), step,
                            stream);
    attention.add(residual, room, stream);
    const LinearInput mlp_input = layer.mlp.input().input(scratch.input, n);
    const ResidualBranch& mlp = layer.mlp_branch;
    mlp.read(mlp_input, residual, stream);
    layer.mlp.forward(mlp.target(residual, room), mlp_input, mlp.epilogue(), &activations->mlp_, stream);
    mlp.add(residual, room, stream);
  }
}

void Decoder::logits(const Tensor& out, DeviceSpan<const int32_t> rows, Activations* activations,
                     ComputeStream& stream) const {
  PAGODA_CHECK(rows.size <= activations->max_tokens(), "rows fit the room for activations");
  const int64_t n = rows.size;
  const Tensor residual = floats(activations->residual_, activations->max_tokens(), config_.hidden_size);
  const Tensor picked = floats(activations->attention_.attended, n, config_.hidden_size);
  gather_rows(picked, residual, rows, stream);
  const MatmulInput input = vocabulary_.input(activations->attention_.input, n);
  final_norm_.forward({&input, 1}, picked, stream);
  vocabulary_.logits(out, input, stream);
  if (config_.logit_softcap > 0) soft_cap(out, config_.logit_softcap, stream);
}

std::size_t Decoder::weight_bytes() const {
  std::size_t total = vocabulary_.bytes();
  for (const Linear* linear : linears()) total += linear->bytes();
  return total;
}

std::vector<const Linear*> Decoder::linears() const {
  std::vector<const Linear*> all;
  for (const Layer& layer : layers_) {
    all.push_back(&layer.attention.input());
    all.push_back(&layer.attention.out());
    const std::vector<const Linear*> mlp = layer.mlp.linears();
    all.insert(all.end(), mlp.begin(), mlp.end());
  }
  return all;
}

std::vector<const PackedWeight*> Decoder::matrices() const {
  std::vector<const PackedWeight*> all;
  for (const Linear* linear : linears())
    for (const PackedPart& part : linear->parts()) all.push_back(part.weight.get());
  all.push_back(&vocabulary_.head());
  return all;
}

int32_t Decoder::max_input_parts() const {
  std::size_t most = 1;
  for (const Linear* linear : linears()) most = std::max(most, linear->parts().size());
  return static_cast<int32_t>(most);
}

}  // namespace pagoda
