#include "tests/testing/tiny_model.h"

#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>

#include "base/rng.h"

namespace pagoda::testing {
namespace {

// Rounded to the dtype, back to float.
float round_to(const std::string& dtype, float number) {
  if (dtype == "float16") return static_cast<float>(static_cast<_Float16>(number));
  if (dtype != "bfloat16") return number;
  uint32_t bits;
  std::memcpy(&bits, &number, 4);
  bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000;
  std::memcpy(&number, &bits, 4);
  return number;
}

std::string encode(const std::string& dtype, const std::vector<float>& values) {
  std::string bytes;
  for (float value : values) {
    char raw[4];
    std::memcpy(raw, &value, 4);
    if (dtype == "float16") {
      _Float16 half = static_cast<_Float16>(value);
      std::memcpy(raw, &half, 2);
      bytes.append(raw, 2);
    } else if (dtype == "bfloat16") {
      bytes.append(raw + 2, 2);
    } else if (dtype == "float64") {
      const auto wide = static_cast<double>(value);
      bytes.append(reinterpret_cast<const char*>(&wide), 8);
    } else {
      bytes.append(raw, 4);
    }
  }
  return bytes;
}

std::string json_shape(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

using Vec = std::vector<double>;

Vec times(const TinyTensor& weight, const Vec& x, const TinyTensor* bias) {
  Vec y(static_cast<std::size_t>(weight.shape[0]));
  for (std::size_t i = 0; i < y.size(); ++i) {
    y[i] = bias ? static_cast<double>(bias->values[i]) : 0.0;
    for (std::size_t j = 0; j < x.size(); ++j)
      y[i] += static_cast<double>(weight.values[i * x.size() + j]) * x[j];
  }
  return y;
}

Vec normed(const TinyTensor& weight, const Vec& x) {
  double sum = 0;
  for (double v : x) sum += v * v;
  double scale = 1 / std::sqrt(sum / static_cast<double>(x.size()) + 1e-5);
  Vec y(x);
  for (std::size_t i = 0; i < x.size(); ++i) y[i] *= scale * static_cast<double>(weight.values[i]);
  return y;
}

// Angle per position of pair i: theta 10000; with llama3: factor 8, low 1, high 4, original context 64.
double frequency(const TinyModelOptions& o, int i) {
  double freq = std::pow(10000.0, -2.0 * i / o.head_dim);
  if (!o.llama3_rope) return freq;
  double wavelength = 2 * M_PI / freq;
  if (wavelength < 64 / 4.0) return freq;
  if (wavelength > 64 / 1.0) return freq / 8;
  double smooth = (64 / wavelength - 1.0) / (4.0 - 1.0);
  return (1 - smooth) * freq / 8 + smooth * freq;
}

void rotate(const TinyModelOptions& o, Vec* x, int position) {
  int half = o.head_dim / 2;
  for (std::size_t head = 0; head < x->size(); head += static_cast<std::size_t>(o.head_dim)) {
    for (int i = 0; i < half; ++i) {
      double angle = position * frequency(o, i), c = std::cos(angle), s = std::sin(angle);
      double &a = (*x)[head + static_cast<std::size_t>(i)],
             &b = (*x)[head + static_cast<std::size_t>(i + half)];
      double rotated = a * c - b * s;
      b = b * c + a * s;
      a = rotated;
    }
  }
}

}  // namespace

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "pagoda_test_XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = pattern;
}
TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out) throw std::runtime_error("cannot write " + path);
}

const TinyTensor& TinyModel::tensor(const std::string& name) const {
  for (const TinyTensor& tensor : tensors)
    if (tensor.name == name) return tensor;
  throw std::runtime_error("no tensor " + name);
}

std::string TinyModel::config_json() const {
  const TinyModelOptions& o = options;
  auto field = [](const char* name, int value) {
    return ",\"" + std::string(name) + "\":" + std::to_string(value);
  };
  auto flag = [](const char* name, bool value) {
    return ",\"" + std::string(name) + "\":" + (value ? "true" : "false");
  };
  std::string text = "{\"architectures\":[\"" + o.architecture + "\"]";
  text += field("vocab_size", o.vocab) + field("hidden_size", o.hidden) +
          field("intermediate_size", o.intermediate) + field("num_hidden_layers", o.layers) +
          field("num_attention_heads", o.heads) + field("num_key_value_heads", o.kv_heads) +
          field("head_dim", o.head_dim) + field("max_position_embeddings", o.max_positions) +
          field("bos_token_id", 1) + field("eos_token_id", 2);
  text += flag("tie_word_embeddings", o.tied_head) + flag("attention_bias", o.attention_bias) +
          flag("mlp_bias", o.mlp_bias);
  if (o.sliding_window > 0) text += field("sliding_window", o.sliding_window);
  if (o.llama3_rope)
    text +=
        ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_"
        "factor\":4.0,"
        "\"original_max_position_embeddings\":64}";
  return text + ",\"rms_norm_eps\":1e-05,\"hidden_act\":\"silu\",\"torch_dtype\":\"" + o.dtype + "\"}";
}

std::vector<Vec> TinyModel::logits(const std::vector<int32_t>& ids) const {
  const TinyModelOptions& o = options;
  const auto head_dim = static_cast<std::size_t>(o.head_dim),
             group = static_cast<std::size_t>(o.heads / o.kv_heads);
  std::vector<std::vector<Vec>> keys(static_cast<std::size_t>(o.layers)), values(keys);
  std::vector<Vec> out;
  for (std::size_t pos = 0; pos < ids.size(); ++pos) {
    const TinyTensor& table = tensor("model.embed_tokens.weight");
    auto row = table.values.begin() + ids[pos] * o.hidden;
    Vec x(row, row + o.hidden);
    for (int layer = 0; layer < o.layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      auto linear = [&](const std::string& name, bool has_bias, const Vec& in) {
        return times(tensor(prefix + name + ".weight"), in,
                     has_bias ? &tensor(prefix + name + ".bias") : nullptr);
      };
      Vec h = normed(tensor(prefix + "input_layernorm.weight"), x);
      Vec q = linear("self_attn.q_proj", o.attention_bias, h),
          k = linear("self_attn.k_proj", o.attention_bias, h);
      rotate(o, &q, static_cast<int>(pos));
      rotate(o, &k, static_cast<int>(pos));
      auto &all_k = keys[static_cast<std::size_t>(layer)], &all_v = values[static_cast<std::size_t>(layer)];
      all_k.push_back(k);
      all_v.push_back(linear("self_attn.v_proj", o.attention_bias, h));
      const std::size_t window = static_cast<std::size_t>(o.sliding_window);
      const std::size_t first = window > 0 && pos + 1 > window ? pos + 1 - window : 0;
      Vec attended(q.size());
      for (std::size_t head = 0; head < static_cast<std::size_t>(o.heads); ++head) {
        const std::size_t kv = head / group * head_dim;
        Vec scores;
        double sum = 0;
        for (std::size_t t = first; t <= pos; ++t) {
          double dot = 0;
          for (std::size_t d = 0; d < head_dim; ++d) dot += q[head * head_dim + d] * all_k[t][kv + d];
          scores.push_back(std::exp(dot / std::sqrt(static_cast<double>(head_dim))));
          sum += scores.back();
        }
        for (std::size_t t = first; t <= pos; ++t)
          for (std::size_t d = 0; d < head_dim; ++d)
            attended[head * head_dim + d] += scores[t - first] / sum * all_v[t][kv + d];
      }
      Vec projected = linear("self_attn.o_proj", o.attention_bias, attended);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] += projected[i];
      h = normed(tensor(prefix + "post_attention_layernorm.weight"), x);
      Vec gate = linear("mlp.gate_proj", o.mlp_bias, h), up = linear("mlp.up_proj", o.mlp_bias, h);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      Vec down = linear("mlp.down_proj", o.mlp_bias, gate);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] += down[i];
    }
    out.push_back(times(tensor(o.tied_head ? "model.embed_tokens.weight" : "lm_head.weight"),
                        normed(tensor("model.norm.weight"), x), nullptr));
  }
  return out;
}

TinyModel make_tiny_model(const TinyModelOptions& o) {
  TinyModel model{o, {}};
  SplitMix64 rng(o.seed);
  auto add = [&](const std::string& name, std::vector<int64_t> shape, double center, double spread) {
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    TinyTensor& tensor = model.tensors.emplace_back();
    tensor.name = name;
    tensor.shape = std::move(shape);
    for (int64_t i = 0; i < count; ++i)
      tensor.values.push_back(
          round_to(o.dtype, static_cast<float>(center + (rng.uniform() * 2 - 1) * spread)));
  };
  auto linear = [&](const std::string& name, int rows, int columns, bool bias) {
    add(name + ".weight", {rows, columns}, 0, 1.7 / std::sqrt(columns));
    if (bias) add(name + ".bias", {rows}, 0, 0.3);
  };
  add("model.embed_tokens.weight", {o.vocab, o.hidden}, 0, 1);
  for (int layer = 0; layer < o.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm.weight", {o.hidden}, 1, 0.2);
    linear(prefix + "self_attn.q_proj", o.heads * o.head_dim, o.hidden, o.attention_bias);
    linear(prefix + "self_attn.k_proj", o.kv_heads * o.head_dim, o.hidden, o.attention_bias);
    linear(prefix + "self_attn.v_proj", o.kv_heads * o.head_dim, o.hidden, o.attention_bias);
    linear(prefix + "self_attn.o_proj", o.hidden, o.heads * o.head_dim, o.attention_bias);
    add(prefix + "post_attention_layernorm.weight", {o.hidden}, 1, 0.2);
    linear(prefix + "mlp.gate_proj", o.intermediate, o.hidden, o.mlp_bias);
    linear(prefix + "mlp.up_proj", o.intermediate, o.hidden, o.mlp_bias);
    linear(prefix + "mlp.down_proj", o.hidden, o.intermediate, o.mlp_bias);
  }
  add("model.norm.weight", {o.hidden}, 1, 0.2);
  if (!o.tied_head) linear("lm_head", o.vocab, o.hidden, false);
  return model;
}

void store_as(TinyTensor* tensor, const std::string& dtype) {
  tensor->dtype = dtype;
  for (float& value : tensor->values) value = round_to(dtype, value);
}

std::string safetensors_bytes(std::string_view header, std::string_view data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i)
    bytes.push_back(static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i)));
  return bytes.append(header).append(data);
}

std::string safetensors_bytes(const std::vector<TinyTensor>& tensors, const std::string& dtype) {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}", data;
  const std::map<std::string, std::string> names = {
      {"float64", "F64"}, {"float32", "F32"}, {"bfloat16", "BF16"}, {"float16", "F16"}};
  for (const TinyTensor& tensor : tensors) {
    std::size_t begin = data.size();
    const std::string& stored = tensor.dtype.empty() ? dtype : tensor.dtype;
    data += encode(stored, tensor.values);
    header += ",\"" + tensor.name + "\":{\"dtype\":\"" + names.at(stored) +
              "\",\"shape\":" + json_shape(tensor.shape) + ",\"data_offsets\":[" + std::to_string(begin) +
              "," + std::to_string(data.size()) + "]}";
  }
  return safetensors_bytes(header + "}", data);
}

void write_tiny_model(const TinyModel& model, const std::string& folder) {
  write_file(folder + "/config.json", model.config_json());
  const int shards = model.options.shards;
  if (shards == 1) {
    write_file(folder + "/model.safetensors", safetensors_bytes(model.tensors, model.options.dtype));
    return;
  }
  std::map<int, std::vector<TinyTensor>> parts;
  for (std::size_t i = 0; i < model.tensors.size(); ++i)
    parts[static_cast<int>(i) % shards].push_back(model.tensors[i]);
  std::string map;
  for (const auto& [part, tensors] : parts) {
    std::string name = "model-" + std::to_string(part) + ".safetensors";
    write_file(folder + "/" + name, safetensors_bytes(tensors, model.options.dtype));
    for (const TinyTensor& tensor : tensors)
      map += std::string(map.empty() ? "" : ",") + "\"" + tensor.name + "\":\"" + name + "\"";
  }
  write_file(folder + "/model.safetensors.index.json", "{\"metadata\":{},\"weight_map\":{" + map + "}}");
}

}  // namespace pagoda::testing
