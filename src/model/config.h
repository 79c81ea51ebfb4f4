// The model room: a model family is a table, not a forward function. families/ turn config.json into a
// ModelSpec; tensor_list() says which tensors that takes. Layers and the one decoder read both. Plain data:
// it knows neither layers nor kernels. Only families/ and registry know a family's name.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pagoda {

// How the angle of each rotated pair grows with the position. Su et al., "RoFormer" (2021); kLlama3 as
// published with Llama 3.1; kLongRope: Ding et al., "LongRoPE" (2024).
struct RopeConfig {
  enum class Scaling : uint8_t { kNone, kLinear, kLlama3, kLongRope } scaling = Scaling::kNone;
  int32_t rotary_dim = 0;  // the first dims of a head that are rotated; even
  double theta = 10000;
  double factor = 1;                                 // kLinear, kLlama3
  double low_freq_factor = 1, high_freq_factor = 4;  // kLlama3
  double original_max_position_embeddings = 8192;    // kLlama3, kLongRope
  // kLongRope: what each pair's frequency is divided by, in contexts of up to so many positions and in longer
  // ones: [rotary_dim / 2].
  std::vector<double> short_factors, long_factors;
  double magnitude = 1;  // of cos and sin
  bool operator==(const RopeConfig&) const = default;
};

// An RMSNorm of Q and K before they are rotated: of each head by itself, or of all heads of a row together.
enum class QkNorm : uint8_t { kNone, kHead, kRow };

struct AttentionConfig {
  int32_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int32_t window = 0;            // 0: attends to all; otherwise to itself and the window - 1 positions before
  float scale = 0, softcap = 0;  // of q . k; softcap 0: none
  bool qkv_bias = false, o_bias = false;
  QkNorm qk_norm = QkNorm::kNone;
  int32_t q_size() const { return num_heads * head_dim; }
  int32_t kv_size() const { return num_kv_heads * head_dim; }
  int32_t qkv_size() const { return q_size() + 2 * kv_size(); }
  bool operator==(const AttentionConfig&) const = default;
};

enum class Activation : uint8_t { kSilu, kGeluTanh };

// Gated: down(activation(gate(x)) * up(x)).
struct MlpConfig {
  int64_t intermediate_size = 0;  // of each expert, where there are any
  Activation activation = Activation::kSilu;
  bool has_bias = false;
  // A mixture of experts: a router gives each token to `experts_per_token` of them.
  int32_t num_experts = 0, experts_per_token = 0;  // 0: dense
  bool normalize_expert_weights = false;           // a token's weights sum to 1
  bool operator==(const MlpConfig&) const = default;
};

// kPre: of what attention and MLP read. kPost: of what they give, before it is added. kSandwich: of both.
enum class NormPlacement : uint8_t { kPre, kPost, kSandwich };

// RMSNorm (Zhang and Sennrich, 2019).
struct NormConfig {
  float eps = 0;
  bool adds_one = false;  // multiplies by 1 + weight
  NormPlacement placement = NormPlacement::kPre;
  bool operator==(const NormConfig&) const = default;
};

struct LayerConfig {
  AttentionConfig attention;
  MlpConfig mlp;
  NormConfig norms;
  int32_t rope = 0;      // index of ModelConfig::ropes
  int32_t kv_group = 0;  // index of the KV cache's groups (kv_groups.h)
  bool operator==(const LayerConfig&) const = default;
};

// What the decoder needs to know. Checked when read: sizes are positive and bounded, heads divide, products
// fit.
struct ModelConfig {
  std::string architecture;  // as config.json names it
  int64_t vocab_size = 0, hidden_size = 0;
  NormConfig final_norm;
  bool tied_head = false;
  float embedding_scale = 1, logit_scale = 1;
  float residual_scale = 1;  // of what attention and MLP add
  float logit_softcap = 0;   // 0: none
  std::vector<RopeConfig> ropes;
  std::vector<LayerConfig> layers;

  int64_t context_length = 0;  // positions that the model was made for
  std::string stored_dtype;    // as config.json names it: float32, bfloat16, float16, another, or empty
  int32_t bos_token_id = -1;   // -1: none
  std::vector<int32_t> eos_token_ids;
  bool operator==(const ModelConfig&) const = default;
};

// What a tensor is for, whatever a checkpoint calls it.
enum class TensorRole : uint8_t {
  kEmbedding,          // [vocab, hidden]
  kFinalNorm,          // [hidden]
  kHead,               // [vocab, hidden]
  kPreAttentionNorm,   // [hidden]
  kQuery,              // [q_size, hidden]
  kKey,                // [kv_size, hidden]
  kValue,              // [kv_size, hidden]
  kQueryNorm,          // [head_dim], or [q_size]
  kKeyNorm,            // [head_dim], or [kv_size]
  kOutput,             // [hidden, q_size]
  kPostAttentionNorm,  // [hidden]
  kPreMlpNorm,         // [hidden]
  kRouter,             // [experts, hidden]
  kGate,               // [intermediate, hidden], of each expert
  kUp,                 // [intermediate, hidden], of each expert
  kDown,               // [hidden, intermediate], of each expert
  kPostMlpNorm,        // [hidden]
};

struct ModelSpec {
  ModelConfig config;
  // Where a checkpoint's names differ from Llama's (tensor_list.cc); without `.weight`, `{layer}` and
  // `{expert}` stand for their numbers. Roles of one layer that share a name are stored as one tensor, their
  // rows in the roles' order.
  std::map<TensorRole, std::string> names;
  std::vector<std::string> ignored;  // tensors that may be there and are not read; `*`: any characters
};

}  // namespace pagoda
