#include "model/config.h"

#include <algorithm>

namespace pagoda {

std::string layer_name(const std::string& pattern, std::size_t layer) {
  std::string name = pattern;
  const std::size_t at = name.find("{}");
  return at == name.npos ? name : name.replace(at, 2, std::to_string(layer));
}

ExpectedTensors expected_tensors(const ModelSpec& spec) {
  const ModelConfig& c = spec.config;
  const TensorNames& names = spec.names;
  ExpectedTensors expected;
  auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    expected.tensors.push_back({name, std::move(shape)});
  };
  auto linear = [&](const std::string& name, int64_t rows, int64_t columns, bool has_bias) {
    add(name + ".weight", {rows, columns});
    if (has_bias) add(name + ".bias", {rows});
  };
  linear(names.embedding, c.vocab_size, c.hidden_size, false);
  for (std::size_t i = 0; i < c.layers.size(); ++i) {
    add(layer_name(names.input_norm, i) + ".weight", {c.hidden_size});
    linear(layer_name(names.q, i), c.attention.q_size(), c.hidden_size, c.qkv_bias);
    linear(layer_name(names.k, i), c.attention.kv_size(), c.hidden_size, c.qkv_bias);
    linear(layer_name(names.v, i), c.attention.kv_size(), c.hidden_size, c.qkv_bias);
    linear(layer_name(names.o, i), c.hidden_size, c.attention.q_size(), c.o_bias);
    add(layer_name(names.post_attention_norm, i) + ".weight", {c.hidden_size});
    linear(layer_name(names.gate, i), c.intermediate_size, c.hidden_size, c.mlp_bias);
    linear(layer_name(names.up, i), c.intermediate_size, c.hidden_size, c.mlp_bias);
    linear(layer_name(names.down, i), c.hidden_size, c.intermediate_size, c.mlp_bias);
  }
  add(names.final_norm + ".weight", {c.hidden_size});
  if (!c.tied_head) linear(names.head, c.vocab_size, c.hidden_size, false);
  expected.ignored = names.ignored;
  if (c.tied_head)
    expected.ignored.push_back(names.head + ".weight");  // some checkpoints store the table twice
  return expected;
}

int64_t num_parameters(const ModelSpec& spec) {
  int64_t total = 0;
  for (const ExpectedTensor& tensor : expected_tensors(spec).tensors) {
    int64_t count = 1;
    for (int64_t size : tensor.shape) count *= size;
    total += count;
  }
  return total;
}

std::vector<int32_t> attention_windows(const ModelConfig& config) {
  std::vector<int32_t> windows;
  for (const LayerConfig& layer : config.layers)
    if (std::find(windows.begin(), windows.end(), layer.window) == windows.end())
      windows.push_back(layer.window);
  return windows;
}

}  // namespace pagoda
