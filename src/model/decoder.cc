#include "model/decoder.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace pagoda {
namespace {

Tensor floats(Buffer* buffer, int64_t rows, int64_t columns) {
  return Tensor::matrix(buffer->data(), DType::kF32, rows, columns);
}

std::size_t float_bytes(int64_t rows, int64_t columns) {
  return static_cast<std::size_t>(rows * columns) * sizeof(float);
}

}  // namespace

Activations::Activations(const ModelConfig& config, int32_t max_tokens)
    : max_tokens_(max_tokens),
      residual_(float_bytes(max_tokens, config.hidden_size)),
      input_(input_bytes_most(std::max<int64_t>(config.hidden_size, config.attention.q_size()), max_tokens)),
      qkv_(float_bytes(max_tokens, config.attention.qkv_size())),
      attended_(float_bytes(max_tokens, std::max<int64_t>(config.hidden_size, config.attention.q_size()))),
      activated_(float_bytes(max_tokens, config.intermediate_size)),
      down_input_(input_bytes_most(config.intermediate_size, max_tokens)) {}

uint64_t Activations::bytes(const ModelConfig& config, int32_t max_tokens) {
  const int64_t q_size = config.attention.q_size();
  return float_bytes(max_tokens, config.hidden_size + config.attention.qkv_size() +
                                     std::max<int64_t>(config.hidden_size, q_size) +
                                     config.intermediate_size) +
         input_bytes_most(std::max<int64_t>(config.hidden_size, q_size), max_tokens) +
         input_bytes_most(config.intermediate_size, max_tokens);
}

Result<Decoder::Layer> Decoder::load_layer(const ModelSpec& spec, std::size_t index,
                                           const WeightSource& source) {
  const ModelConfig& config = spec.config;
  auto name = [&](const std::string& pattern) { return layer_name(pattern, index); };
  const TensorNames& names = spec.names;
  Layer layer;
  PAGODA_TRY(layer.input_norm, RmsNorm::load(source, name(names.input_norm), config.norm_eps));
  PAGODA_TRY(layer.attention,
             Attention::load(source, {name(names.q), name(names.k), name(names.v), name(names.o)},
                             config.attention, config.qkv_bias, config.o_bias));
  PAGODA_TRY(layer.post_attention_norm,
             RmsNorm::load(source, name(names.post_attention_norm), config.norm_eps));
  PAGODA_TRY(layer.mlp,
             GatedMlp::load(source, {name(names.gate), name(names.up), name(names.down)}, config.mlp_bias));
  const std::vector<int32_t> windows = attention_windows(config);
  layer.group = static_cast<std::size_t>(
      std::find(windows.begin(), windows.end(), config.layers[index].window) - windows.begin());
  return layer;
}

Result<std::unique_ptr<Decoder>> Decoder::load(const ModelSpec& spec, const Checkpoint& checkpoint,
                                               const DecoderOptions& options, ComputeStream& stream) {
  PAGODA_RETURN_IF_ERROR(check_tensors(checkpoint, expected_tensors(spec)));
  const DType stored = checkpoint.find(spec.names.embedding + ".weight")->dtype;
  const DType dtype = options.dtype.value_or(stored == DType::kF64 ? DType::kF32 : stored);
  const WeightSource source{checkpoint, options.layers_format.value_or(unquantized(dtype)),
                            options.vocabulary_format.value_or(unquantized(dtype)), stream, options.store};

  const int64_t max_positions =
      options.max_positions > 0 ? options.max_positions : spec.config.context_length;
  constexpr uint64_t kRopeBytesMax = 4ull << 30;
  if (static_cast<uint64_t>(max_positions) * static_cast<uint64_t>(spec.config.rope.rotary_dim) *
          sizeof(float) >
      kRopeBytesMax)
    return invalid_argument("a context of " + std::to_string(max_positions) +
                            " positions needs too large a table of angles: use a smaller --max-model-len");
  try {
    PAGODA_TRY(std::unique_ptr<Decoder> decoder, load_weights(spec, source, max_positions));
    decoder->dtype_ = dtype;
    return decoder;
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted,
                  "too little memory for the weights: use a smaller --dtype or model");
  }
}

Result<std::unique_ptr<Decoder>> Decoder::load_weights(const ModelSpec& spec, const WeightSource& source,
                                                       int64_t max_positions) {
  std::unique_ptr<Decoder> decoder(new Decoder(spec.config, max_positions));
  PAGODA_TRY(decoder->vocabulary_,
             Vocabulary::load(source, spec.names.embedding, spec.config.tied_head ? "" : spec.names.head));
  for (std::size_t i = 0; i < spec.config.layers.size(); ++i) {
    PAGODA_TRY(Layer layer, load_layer(spec, i, source));
    decoder->layers_.push_back(std::move(layer));
  }
  PAGODA_TRY(decoder->final_norm_, RmsNorm::load(source, spec.names.final_norm, spec.config.norm_eps));
  return decoder;
}

void Decoder::forward(const ForwardInputs& inputs, std::span<const KvLayerView> kv, Activations* activations,
                      ComputeStream& stream) const {
  PAGODA_CHECK(inputs.num_tokens <= activations->max_tokens(), "a step fits the room for activations");
  PAGODA_CHECK(kv.size() == layers_.size(), "a cache for every layer");
  const int64_t n = inputs.num_tokens;
  const Tensor residual = floats(&activations->residual_, n, config_.hidden_size);
  const Tensor qkv = floats(&activations->qkv_, n, config_.attention.qkv_size());
  const Tensor attended = floats(&activations->attended_, n, config_.attention.q_size());
  const Tensor activated = floats(&activations->activated_, n, config_.intermediate_size);

  vocabulary_.embed(residual, inputs.input_ids, stream);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const MatmulInput attention_input = layer.attention.input().input(&activations->input_, n);
    layer.input_norm.forward(attention_input, residual, stream);
    layer.attention.forward(residual, attention_input, inputs.positions, rope_, kv[i],
                            inputs.groups[layer.group], qkv, attended, &activations->input_, stream);
    const MatmulInput mlp_input = layer.mlp.input().input(&activations->input_, n);
    layer.post_attention_norm.forward(mlp_input, residual, stream);
    layer.mlp.forward(residual, mlp_input, activated, &activations->down_input_, stream);
  }
}

void Decoder::logits(const Tensor& out, std::span<const int32_t> rows, Activations* activations,
                     ComputeStream& stream) const {
  PAGODA_CHECK(rows.size() <= static_cast<std::size_t>(activations->max_tokens()),
               "rows fit the room for activations");
  const auto n = static_cast<int64_t>(rows.size());
  const Tensor residual = floats(&activations->residual_, activations->max_tokens(), config_.hidden_size);
  const Tensor picked = floats(&activations->attended_, n, config_.hidden_size);
  for (int64_t i = 0; i < n; ++i)
    std::memcpy(picked.row<float>(i), residual.row<float>(rows[static_cast<std::size_t>(i)]),
                float_bytes(1, config_.hidden_size));
  const MatmulInput input = vocabulary_.input(&activations->input_, n);
  final_norm_.forward(input, picked, stream);
  vocabulary_.logits(out, input, stream);
}

std::size_t Decoder::weight_bytes() const {
  std::size_t total = vocabulary_.bytes();
  for (const Layer& layer : layers_) total += layer.attention.bytes() + layer.mlp.bytes();
  return total;
}

std::vector<const PackedWeight*> Decoder::matrices() const {
  std::vector<const PackedWeight*> all;
  for (const Layer& layer : layers_)
    for (const Linear* linear :
         {&layer.attention.input(), &layer.attention.out(), &layer.mlp.input(), &layer.mlp.down()})
      all.push_back(&linear->weight());
  all.push_back(&vocabulary_.head());
  return all;
}

}  // namespace pagoda
