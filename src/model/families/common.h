#pragma once
#include <cstddef>
#include <functional>

#include "base/status.h"
#include "base/value.h"
#include "model/config.h"
#include "model/config_reader.h"
#include "model/families/rope.h"

namespace pagoda {

// What a family's configuration class has where config.json says nothing.
struct CommonDefaults {
  double rms_norm_eps = 1e-6;
  int64_t num_kv_heads = 0;  // 0: num_attention_heads, as null is
  int64_t context_length = 2048;
  int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
  bool tied_head = false;
};

// The fields that most families name alike, as Hugging Face's configuration classes define them: sizes,
// heads, norm, activation, tied head, special ids; all layers alike. Rotary positions are read_rope()'s.
ModelSpec read_common_fields(ConfigReader* reader, const CommonDefaults& defaults);

Activation read_activation(ConfigReader* reader, const char* key, const char* fallback);

// Gives `sliding_window` (absent: `default_window`; null: none) to the layers that `layer_types` calls
// sliding; without such a list, to those of which `slides` is true. Returns which layers slide.
std::vector<bool> read_windows(ConfigReader* reader, ModelConfig* config, int64_t default_window,
                               const std::function<bool(std::size_t)>& slides);

}  // namespace pagoda
