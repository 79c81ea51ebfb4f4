// The model room: a model family is a table, not a forward function. families/ turn config.json into a
// ModelConfig and a map of tensor names; the one decoder reads them. Nobody outside of families/ and registry
// knows a family's name.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "layers/attention.h"
#include "ops/rope.h"
#include "tensor/dtype.h"
#include "weights/expected_tensors.h"

namespace pagoda {

struct LayerConfig {
  int32_t window = 0;  // 0: attends to all; otherwise to itself and the window - 1 positions before
  bool operator==(const LayerConfig&) const = default;
};

// What the decoder needs to know. Judged when read: sizes are positive and bounded, heads divide, products
// fit.
struct ModelConfig {
  std::string architecture;  // as config.json names it
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  AttentionShape attention;
  float attention_scale = 0;    // of q . k
  float attention_softcap = 0;  // 0: none
  float norm_eps = 0;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool tied_head = false;
  RopeConfig rope;
  std::vector<LayerConfig> layers;

  int64_t context_length = 0;  // positions that the model was made for
  std::string stored_dtype;    // `dtype` or `torch_dtype` of config.json, or empty
  int32_t bos_token_id = -1;   // -1: none
  std::vector<int32_t> eos_token_ids;
  bool operator==(const ModelConfig&) const = default;
};

// Where a checkpoint keeps each weight; `{}` stands for the layer. Names are without `.weight` and `.bias`.
struct TensorNames {
  std::string embedding = "model.embed_tokens", final_norm = "model.norm", head = "lm_head";
  std::string input_norm = "model.layers.{}.input_layernorm";
  std::string q = "model.layers.{}.self_attn.q_proj", k = "model.layers.{}.self_attn.k_proj";
  std::string v = "model.layers.{}.self_attn.v_proj", o = "model.layers.{}.self_attn.o_proj";
  std::string post_attention_norm = "model.layers.{}.post_attention_layernorm";
  std::string gate = "model.layers.{}.mlp.gate_proj", up = "model.layers.{}.mlp.up_proj";
  std::string down = "model.layers.{}.mlp.down_proj";
  std::vector<std::string> ignored;  // patterns of tensors that may be there and are not read
};

struct ModelSpec {
  ModelConfig config;
  TensorNames names;
};

std::string layer_name(const std::string& pattern, std::size_t layer);
// Everything that the model wants of its checkpoint.
ExpectedTensors expected_tensors(const ModelSpec& spec);
// Number of weights, in elements.
int64_t num_parameters(const ModelSpec& spec);

// Layers that look back equally far share one block table each: distinct windows, in order of first use.
std::vector<int32_t> attention_windows(const ModelConfig& config);

}  // namespace pagoda
