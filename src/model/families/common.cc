#include "model/families/common.h"

#include <fmt/format.h>

#include <cmath>

namespace pagoda {
namespace {

// Far above any model there is, and small enough that products of any two fit an int64 many times over.
constexpr int64_t kVocabMax = 1 << 24, kHiddenMax = 1 << 18, kIntermediateMax = 1 << 21, kLayersMax = 2048;
constexpr int64_t kHeadsMax = 4096, kPositionsMax = 1 << 24;
constexpr int64_t kHeadDimMax = 1024;  // what ops/attention.h takes

AttentionConfig read_attention(ConfigReader* reader, int64_t hidden_size, const CommonDefaults& defaults) {
  int64_t default_head_dim = defaults.head_dim;
  const int64_t heads = reader->integer("num_attention_heads", {}, 1, kHeadsMax);
  const bool is_grouped = defaults.num_kv_heads > 0 && !reader->is_null("num_key_value_heads");
  const int64_t kv_heads =
      reader->integer("num_key_value_heads", is_grouped ? defaults.num_kv_heads : heads, 1, kHeadsMax);
  if (heads % kv_heads != 0)
    reader->fail(fmt::format("`num_attention_heads` ({}) is not a multiple of `num_key_value_heads` ({})",
                             heads, kv_heads));
  if (!reader->has("head_dim") && default_head_dim == 0 && hidden_size % heads != 0)
    reader->fail(
        fmt::format("`hidden_size` ({}) is not a multiple of `num_attention_heads` ({}), and there is "
                    "no `head_dim`",
                    hidden_size, heads));
  if (default_head_dim == 0) default_head_dim = std::max<int64_t>(hidden_size / heads, 2);
  const int64_t head_dim = reader->integer("head_dim", default_head_dim, 2, kHeadDimMax);
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

// By its usual name; an older file's may be `torch.bfloat16`.
std::string read_dtype(ConfigReader* reader, const char* key, const std::string& fallback) {
  std::string name = reader->string(key, fallback);
  if (name.starts_with("torch.")) name.erase(0, 6);
  if (name == "float" || name == "float64" || name == "double") return "float32";
  return name == "half" ? "float16" : name;
}

}  // namespace

ModelSpec read_common_fields(ConfigReader* reader, const CommonDefaults& defaults) {
  ModelSpec spec;
  ModelConfig& c = spec.config;
  c.vocab_size = reader->integer("vocab_size", {}, 1, kVocabMax);
  c.hidden_size = reader->integer("hidden_size", {}, 1, kHiddenMax);
  LayerConfig layer;
  layer.mlp.intermediate_size = reader->integer("intermediate_size", {}, 1, kIntermediateMax);
  layer.mlp.activation = read_activation(reader, "hidden_act", "silu");
  const int64_t num_layers = reader->integer("num_hidden_layers", {}, 1, kLayersMax);
  layer.attention = read_attention(reader, c.hidden_size, defaults);
  layer.norms.eps = static_cast<float>(reader->number("rms_norm_eps", defaults.rms_norm_eps, 0, 1));
  c.layers.assign(static_cast<std::size_t>(num_layers), layer);
  c.final_norm = layer.norms;
  c.context_length = reader->integer("max_position_embeddings", defaults.context_length, 1, kPositionsMax);
  c.tied_head = reader->boolean("tie_word_embeddings", defaults.tied_head);
  if (reader->has("quantization_config"))
    reader->fail(
        "`quantization_config`: quantized checkpoints are not supported; use the float32, "
        "bfloat16 or float16 one");
  c.stored_dtype = read_dtype(reader, "dtype", read_dtype(reader, "torch_dtype", ""));
  std::vector<int32_t> bos = reader->token_ids("bos_token_id", c.vocab_size);
  if (!bos.empty()) c.bos_token_id = bos[0];
  c.eos_token_ids = reader->token_ids("eos_token_id", c.vocab_size);
  spec.ignored = {"*.rotary_emb.inv_freq", "*.k_scale", "*.v_scale", "*.kv_scale"};
  return spec;
}

Activation read_activation(ConfigReader* reader, const char* key, const char* fallback) {
  const std::string name = reader->string(key, fallback);
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Activation::kGeluTanh;
  if (name != "silu" && name != "swish")
    reader->fail(fmt::format("`{}`: '{}' is not supported, only silu and gelu_pytorch_tanh", key, name));
  return Activation::kSilu;
}

std::vector<bool> read_windows(ConfigReader* reader, ModelConfig* config, int64_t default_window,
                               const std::function<bool(std::size_t)>& slides) {
  const int64_t fallback = reader->is_null("sliding_window") ? 0 : default_window;
  const int64_t window = reader->integer("sliding_window", fallback, 1, INT32_MAX);
  std::vector<std::string> types = reader->strings("layer_types");
  if (reader->has("layer_types") && types.size() != config->layers.size()) {
    reader->fail(
        fmt::format("`layer_types` has {} entries for {} layers", types.size(), config->layers.size()));
    types.clear();
  }
  std::vector<bool> sliding;
  for (std::size_t i = 0; i < config->layers.size(); ++i) {
    if (!types.empty() && types[i] != "sliding_attention" && types[i] != "full_attention")
      reader->fail(
          fmt::format("`layer_types`: '{}' is not supported, only full_attention and sliding_attention",
                      types[i].substr(0, 80)));
    sliding.push_back(types.empty() ? slides(i) : types[i] == "sliding_attention");
    config->layers[i].attention.window = sliding[i] ? static_cast<int32_t>(window) : 0;
  }
  return sliding;
}

}  // namespace pagoda
