// Small random checkpoints for tests, made here from nothing: a Hugging Face folder (config.json and
// safetensors), and the same model computed in double, straight from the definition and without any of the
// code under test.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pagoda::testing {

// A folder of its own that goes away with the object.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};
void write_file(const std::string& path, std::string_view bytes);

struct TinyTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;  // exactly representable in the model's dtype
  std::string dtype = {};     // its own where it differs from the file's; "float64" too
};

struct TinyModelOptions {
  int vocab = 96, hidden = 32, intermediate = 48, layers = 2, heads = 4, kv_heads = 2, head_dim = 8;
  int max_positions = 256, sliding_window = 0;
  std::string dtype = "float32";  // "bfloat16", "float16"
  std::string architecture = "LlamaForCausalLM";
  bool tied_head = false, llama3_rope = false, attention_bias = false, mlp_bias = false;
  int shards = 1;
  uint64_t seed = 1;
};

struct TinyModel {
  TinyModelOptions options;
  std::vector<TinyTensor> tensors;
  const TinyTensor& tensor(const std::string& name) const;  // throws if there is none
  std::string config_json() const;
  // [ids.size()][vocab]: logits after each id, in double.
  std::vector<std::vector<double>> logits(const std::vector<int32_t>& ids) const;
};

TinyModel make_tiny_model(const TinyModelOptions& options);
// The tensor is stored in a dtype of its own, and its values are rounded to it.
void store_as(TinyTensor* tensor, const std::string& dtype);
// config.json, and model.safetensors or shards with their index.
void write_tiny_model(const TinyModel& model, const std::string& folder);
// One safetensors file. dtype as in TinyModelOptions.
std::string safetensors_bytes(const std::vector<TinyTensor>& tensors, const std::string& dtype);
// A file with this header text and data, whatever they are.
std::string safetensors_bytes(std::string_view header, std::string_view data);

}  // namespace pagoda::testing
