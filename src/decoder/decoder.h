// The decoder room: the one forward pass, which reads the layer table.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "decoder/activations.h"
#include "layers/norm.h"
#include "layers/vocabulary.h"
#include "model/config.h"

namespace pagoda {

// One step's flat batch, of device memory. Valid during the call.
struct ForwardInputs {
  DeviceSpan<const int32_t> input_ids, positions;  // [num_tokens]
  int32_t num_tokens = 0;
  std::span<const AttnBatch> groups;  // by LayerConfig::kv_group
};

struct DecoderOptions {
  std::optional<DType> dtype;  // of weight matrices; none: as the checkpoint has its embedding
  int64_t max_positions = 0;   // 0: the config's context_length
  // Weights to be quantized while they are loaded; none: as dtype says. A tied embedding follows the head.
  std::optional<WeightFormat> layers_format, vocabulary_format;
  PackedStore* store = nullptr;  // null: none
};

// The one forward pass. Owns the packed weights; immutable once loaded.
class Decoder {
 public:
  // Errors: kInvalidArgument naming the tensors that do not fit; kExhausted: too little memory.
  static Result<std::unique_ptr<Decoder>> load(const ModelSpec& spec, const Checkpoint& checkpoint,
                                               const DecoderOptions& options, ComputeStream& stream);

  // Computes the step; the result stays in `activations` for logits(). Writes K and V of every token to
  // kv[layer].
  void forward(const ForwardInputs& inputs, std::span<const KvLayerView> kv, Activations* activations,
               ComputeStream& stream) const;
  // out[i] = logits after flat token rows[i] of the last forward: [rows.size, vocab] float32. For prompts
  // with log-probabilities it is called with some rows at a time, so that not all logits need room at once.
  // Requires: rows.size <= max_tokens; `activations` of the last forward. May be called again with other
  // rows.
  void logits(const Tensor& out, DeviceSpan<const int32_t> rows, Activations* activations,
              ComputeStream& stream) const;

  const ModelConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }
  int64_t max_positions() const { return max_positions_; }
  std::size_t weight_bytes() const;
  std::vector<const PackedWeight*> matrices() const;  // that every step reads
  int32_t max_input_parts() const;  // of a linear: in so many forms its input is held (Activations)

 private:
  std::vector<const Linear*> linears() const;
  struct Layer {
    ResidualBranch attention_branch, mlp_branch;
    Attention attention;
    Mlp mlp;
  };
  Decoder(const ModelConfig& config, int64_t max_positions, DeviceMemory& memory);
  static Result<std::unique_ptr<Decoder>> load_weights(const ModelConfig& config, const WeightSource& source,
                                                       int64_t max_positions);
  static Result<Layer> load_layer(const LayerConfig& config, float residual_scale,
                                  const WeightSource& source);

  ModelConfig config_;
  DType dtype_ = DType::kF32;
  int64_t max_positions_;
  std::vector<RopeTable> ropes_;  // by LayerConfig::rope
  Vocabulary vocabulary_;
  std::vector<Layer> layers_;
  RmsNorm final_norm_;
};

}  // namespace pagoda
