#include "model/families/common.h"

#include <fmt/format.h>

#include <cmath>

namespace pagoda {
namespace {

// Far above any model there is, and small enough that products of any two fit an int64 many times over.
constexpr int64_t kVocabMax = 1 << 24, kHiddenMax = 1 << 18, kIntermediateMax = 1 << 21, kLayersMax = 2048;
constexpr int64_t kHeadsMax = 4096, kPositionsMax = 1 << 24;
constexpr int64_t kHeadDimMax = 1024;  // what ops/attention.h takes

AttentionConfig read_attention(ConfigReader* reader, int64_t hidden_size) {
  const int64_t heads = reader->integer("num_attention_heads", {}, 1, kHeadsMax);
  const int64_t kv_heads = reader->integer("num_key_value_heads", heads, 1, kHeadsMax);
  if (heads % kv_heads != 0)
    reader->fail(fmt::format("`num_attention_heads` ({}) is not a multiple of `num_key_value_heads` ({})",
                             heads, kv_heads));
  if (!reader->has("head_dim") && hidden_size % heads != 0)
    reader->fail(
        fmt::format("`hidden_size` ({}) is not a multiple of `num_attention_heads` ({}), and there is "
                    "no `head_dim`",
                    hidden_size, heads));
  const int64_t head_dim =
      reader->integer("head_dim", std::max<int64_t>(hidden_size / heads, 2), 2, kHeadDimMax);
  if (head_dim > kHeadDimMax)
    reader->fail(
        fmt::format("heads of {} dimensions (`hidden_size` / `num_attention_heads`) are too "
                    "large: at most {} are supported",
                    head_dim, kHeadDimMax));
  if (head_dim % 2 != 0)
    reader->fail(fmt::format("head_dim ({}) is odd: rotary positions need pairs", head_dim));
  return {.num_heads = static_cast<int32_t>(heads),
          .num_kv_heads = static_cast<int32_t>(kv_heads),
          .head_dim = static_cast<int32_t>(head_dim),
          .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)))};
}

void read_llama3_scaling(ConfigReader* scaling, const ModelConfig& config, RopeConfig* rope) {
  rope->scaling = RopeConfig::Scaling::kLlama3;
  rope->factor = scaling->number("factor", {}, 1, 1e6);
  rope->low_freq_factor = scaling->number("low_freq_factor", {}, 1e-6, 1e6);
  rope->high_freq_factor = scaling->number("high_freq_factor", {}, 1e-6, 1e6);
  rope->original_max_position_embeddings = static_cast<double>(
      scaling->integer("original_max_position_embeddings", config.context_length, 1, kPositionsMax));
  if (rope->high_freq_factor <= rope->low_freq_factor)
    scaling->fail("rope scaling: `high_freq_factor` must be above `low_freq_factor`");
}

}  // namespace

ModelSpec read_common_fields(ConfigReader* reader) {
  ModelSpec spec;
  ModelConfig& c = spec.config;
  c.vocab_size = reader->integer("vocab_size", {}, 1, kVocabMax);
  c.hidden_size = reader->integer("hidden_size", {}, 1, kHiddenMax);
  LayerConfig layer;
  layer.mlp.intermediate_size = reader->integer("intermediate_size", {}, 1, kIntermediateMax);
  const int64_t num_layers = reader->integer("num_hidden_layers", {}, 1, kLayersMax);
  layer.attention = read_attention(reader, c.hidden_size);
  layer.norms.eps = static_cast<float>(reader->number("rms_norm_eps", 1e-6, 0, 1));
  c.layers.assign(static_cast<std::size_t>(num_layers), layer);
  c.final_norm = layer.norms;
  c.context_length = reader->integer("max_position_embeddings", 2048, 1, kPositionsMax);
  c.tied_head = reader->boolean("tie_word_embeddings", false);
  read_rope(reader, &c);

  const std::string activation = reader->string("hidden_act", "silu");
  if (activation != "silu" && activation != "swish")
    reader->fail("`hidden_act`: '" + activation + "' is not supported, only silu");
  if (reader->has("quantization_config"))
    reader->fail(
        "`quantization_config`: quantized checkpoints are not supported; use the float32, "
        "bfloat16 or float16 one");
  c.stored_dtype = reader->string("dtype", reader->string("torch_dtype", ""));
  std::vector<int32_t> bos = reader->token_ids("bos_token_id", c.vocab_size);
  if (!bos.empty()) c.bos_token_id = bos[0];
  c.eos_token_ids = reader->token_ids("eos_token_id", c.vocab_size);
  spec.ignored = {"*.rotary_emb.inv_freq", "*.k_scale", "*.v_scale", "*.kv_scale"};
  return spec;
}

void read_rope(ConfigReader* reader, ModelConfig* config) {
  constexpr double kThetaMin = 1, kThetaMax = 1e12;
  RopeConfig& rope = config->ropes.emplace_back();
  const int32_t head_dim = config->layers[0].attention.head_dim;
  const double rotated = reader->number("partial_rotary_factor", 1.0, 0, 1);
  rope.rotary_dim = static_cast<int32_t>(static_cast<double>(head_dim) * rotated);
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0)
    reader->fail(
        fmt::format("`partial_rotary_factor` rotates {} of {} dimensions of a head: expected an even "
                    "number of them",
                    rope.rotary_dim, head_dim));
  rope.theta = reader->number("rope_theta", 10000.0, kThetaMin, kThetaMax);

  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const Value* object = reader->object(key);
    if (object == nullptr) continue;
    ConfigReader scaling(*object, std::string(key) + ".");
    rope.theta = scaling.number("rope_theta", rope.theta, kThetaMin, kThetaMax);
    const std::string type = scaling.string("rope_type", scaling.string("type", "default"));
    if (type == "linear") {
      rope.scaling = RopeConfig::Scaling::kLinear;
      rope.factor = scaling.number("factor", {}, 1, 1e6);
      config->context_length =
          static_cast<int64_t>(static_cast<double>(config->context_length) * rope.factor);
      if (config->context_length > kPositionsMax) scaling.fail("the scaled context is too long");
    } else if (type == "llama3") {
      read_llama3_scaling(&scaling, *config, &rope);
    } else if (type != "default") {
      scaling.fail(
          fmt::format("`{}`: type '{}' is not supported, only default, linear and llama3", key, type));
    }
    if (!scaling.status().ok()) reader->fail(scaling.status().message());
    return;  // a config that has both tells the same twice
  }
}

}  // namespace pagoda
