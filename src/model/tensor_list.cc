#include "model/tensor_list.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"

namespace pagoda {
namespace {

// As Llama's checkpoints name them, and most families'.
struct DefaultName {
  TensorRole role;
  const char* name;
};
constexpr DefaultName kDefaultNames[] = {
    {TensorRole::kEmbedding, "model.embed_tokens"},
    {TensorRole::kFinalNorm, "model.norm"},
    {TensorRole::kHead, "lm_head"},
    {TensorRole::kPreAttentionNorm, "model.layers.{layer}.input_layernorm"},
    {TensorRole::kQuery, "model.layers.{layer}.self_attn.q_proj"},
    {TensorRole::kKey, "model.layers.{layer}.self_attn.k_proj"},
    {TensorRole::kValue, "model.layers.{layer}.self_attn.v_proj"},
    {TensorRole::kQueryNorm, "model.layers.{layer}.self_attn.q_norm"},
    {TensorRole::kKeyNorm, "model.layers.{layer}.self_attn.k_norm"},
    {TensorRole::kOutput, "model.layers.{layer}.self_attn.o_proj"},
    {TensorRole::kPreMlpNorm, "model.layers.{layer}.post_attention_layernorm"},
    {TensorRole::kPostAttentionNorm, "model.layers.{layer}.post_attention_layernorm"},
    {TensorRole::kRouter, "model.layers.{layer}.mlp.gate"},
    {TensorRole::kGate, "model.layers.{layer}.mlp.gate_proj"},
    {TensorRole::kUp, "model.layers.{layer}.mlp.up_proj"},
    {TensorRole::kDown, "model.layers.{layer}.mlp.down_proj"},
    {TensorRole::kPostMlpNorm, "model.layers.{layer}.post_feedforward_layernorm"},
};

std::string pattern_of(const ModelSpec& spec, TensorRole role) {
  if (const auto own = spec.names.find(role); own != spec.names.end()) return own->second;
  for (const DefaultName& entry : kDefaultNames)
    if (entry.role == role) return entry.name;
  PAGODA_CHECK(false, "every role has a name");
  return {};
}

void replace(std::string* text, std::string_view placeholder, int32_t number) {
  if (const std::size_t at = text->find(placeholder); at != text->npos)
    text->replace(at, placeholder.size(), std::to_string(number));
}

// Adds tensors of one layer, or of none.
class Adder {
 public:
  Adder(const ModelSpec& spec, int32_t layer, std::vector<TensorSpec>* list)
      : spec_(spec), layer_(layer), list_(*list) {}

  void norm(TensorRole role, int64_t size) { add({.role = role, .shape = {size}}); }
  void matrix(TensorRole role, int64_t rows, int64_t columns, Shard shard, bool has_bias,
              int32_t expert = -1) {
    add({.role = role, .expert = expert, .shape = {rows, columns}, .shard = shard});
    // What is summed over ranks gets its bias once, from all of it.
    if (has_bias)
      add({.role = role,
           .is_bias = true,
           .expert = expert,
           .shape = {rows},
           .shard = shard == Shard::kColumns ? Shard::kReplicated : shard});
  }

 private:
  void add(TensorSpec tensor) {
    tensor.layer = layer_;
    std::string name = pattern_of(spec_, tensor.role);
    replace(&name, "{layer}", layer_);
    replace(&name, "{expert}", tensor.expert);
    tensor.sources.push_back({name + (tensor.is_bias ? ".bias" : ".weight")});
    list_.push_back(std::move(tensor));
  }

  const ModelSpec& spec_;
  int32_t layer_;
  std::vector<TensorSpec>& list_;
};

void add_mlp(const MlpConfig& mlp, int64_t hidden, int32_t expert, Adder* add) {
  add->matrix(TensorRole::kGate, mlp.intermediate_size, hidden, Shard::kRows, mlp.has_bias, expert);
  add->matrix(TensorRole::kUp, mlp.intermediate_size, hidden, Shard::kRows, mlp.has_bias, expert);
  add->matrix(TensorRole::kDown, hidden, mlp.intermediate_size, Shard::kColumns, mlp.has_bias, expert);
}

void add_layer(const ModelSpec& spec, int32_t index, std::vector<TensorSpec>* list) {
  const int64_t hidden = spec.config.hidden_size;
  const LayerConfig& layer = spec.config.layers[static_cast<std::size_t>(index)];
  const AttentionConfig& attention = layer.attention;
  const bool norms_input = layer.norms.placement != NormPlacement::kPost;
  const bool norms_output = layer.norms.placement != NormPlacement::kPre;
  Adder add(spec, index, list);
  if (norms_input) add.norm(TensorRole::kPreAttentionNorm, hidden);
  add.matrix(TensorRole::kQuery, attention.q_size(), hidden, Shard::kRows, attention.qkv_bias);
  add.matrix(TensorRole::kKey, attention.kv_size(), hidden, Shard::kKvHeadRows, attention.qkv_bias);
  add.matrix(TensorRole::kValue, attention.kv_size(), hidden, Shard::kKvHeadRows, attention.qkv_bias);
  if (attention.qk_norm != QkNorm::kNone) {
    const bool is_row = attention.qk_norm == QkNorm::kRow;
    add.norm(TensorRole::kQueryNorm, is_row ? attention.q_size() : attention.head_dim);
    add.norm(TensorRole::kKeyNorm, is_row ? attention.kv_size() : attention.head_dim);
  }
  add.matrix(TensorRole::kOutput, hidden, attention.q_size(), Shard::kColumns, attention.o_bias);
  if (norms_output) add.norm(TensorRole::kPostAttentionNorm, hidden);
  if (norms_input) add.norm(TensorRole::kPreMlpNorm, hidden);
  if (layer.mlp.num_experts == 0) {
    add_mlp(layer.mlp, hidden, -1, &add);
  } else {
    add.matrix(TensorRole::kRouter, layer.mlp.num_experts, hidden, Shard::kReplicated, false);
    for (int32_t expert = 0; expert < layer.mlp.num_experts; ++expert)
      add_mlp(layer.mlp, hidden, expert, &add);
  }
  if (norms_output) add.norm(TensorRole::kPostMlpNorm, hidden);
}

// Tensors that name the same source are slices of it, in the list's order.
void slice_shared_sources(std::vector<TensorSpec>* list) {
  std::unordered_map<std::string, std::vector<TensorSpec*>> by_source;
  for (TensorSpec& tensor : *list) by_source[tensor.sources[0].name].push_back(&tensor);
  for (auto& [name, tensors] : by_source) {
    if (tensors.size() == 1) continue;
    int64_t row = 0;
    for (TensorSpec* tensor : tensors) {
      tensor->sources[0].row_begin = row;
      row += tensor->sources[0].num_rows = tensor->shape[0];
    }
  }
}

}  // namespace

std::vector<TensorSpec> tensor_list(const ModelSpec& spec) {
  const ModelConfig& c = spec.config;
  std::vector<TensorSpec> list;
  Adder add(spec, -1, &list);
  add.matrix(TensorRole::kEmbedding, c.vocab_size, c.hidden_size, Shard::kRows, false);
  for (std::size_t i = 0; i < c.layers.size(); ++i) add_layer(spec, static_cast<int32_t>(i), &list);
  add.norm(TensorRole::kFinalNorm, c.hidden_size);
  add.matrix(TensorRole::kHead, c.vocab_size, c.hidden_size, Shard::kRows, false);
  list.back().optional = c.tied_head;  // some checkpoints store the table twice
  slice_shared_sources(&list);
  return list;
}

std::span<const TensorSpec> layer_tensors(std::span<const TensorSpec> list, int32_t layer) {
  const auto is_of_layer = [&](const TensorSpec& tensor) { return tensor.layer == layer; };
  const auto begin = std::find_if(list.begin(), list.end(), is_of_layer);
  return {begin, std::find_if_not(begin, list.end(), is_of_layer)};
}

const TensorSpec* find_tensor(std::span<const TensorSpec> list, TensorRole role, int32_t expert,
                              bool is_bias) {
  for (const TensorSpec& tensor : list)
    if (tensor.role == role && tensor.expert == expert && tensor.is_bias == is_bias) return &tensor;
  return nullptr;
}

std::vector<StoredShape> stored_shapes(std::span<const TensorSpec> list) {
  std::vector<StoredShape> stored;
  std::unordered_map<std::string, std::size_t> places;
  for (const TensorSpec& tensor : list)
    for (const TensorSource& source : tensor.sources) {
      const auto [place, is_new] = places.try_emplace(source.name, stored.size());
      if (is_new) stored.push_back({source.name, tensor.shape, tensor.optional});
      StoredShape& whole = stored[place->second];
      if (source.num_rows > 0)
        whole.shape[0] = std::max(is_new ? 0 : whole.shape[0], source.row_begin + source.num_rows);
      whole.optional = whole.optional && tensor.optional;
    }
  return stored;
}

int64_t num_parameters(std::span<const TensorSpec> list) {
  int64_t total = 0;
  for (const TensorSpec& tensor : list) {
    int64_t count = tensor.optional ? 0 : 1;
    for (int64_t size : tensor.shape) count *= size;
    total += count;
  }
  return total;
}

}  // namespace pagoda
