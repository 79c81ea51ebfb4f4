#pragma once
#include <cstddef>
#include <functional>

#include "base/status.h"
#include "base/value.h"
#include "model/config.h"
#include "model/config_reader.h"
#include "model/families/rope.h"

namespace pagoda {

// The fields that most families name alike, as Hugging Face's configuration classes define them: sizes,
// heads, norm, activation, tied head, special ids; all layers alike. Defaults are those classes'. Rotary
// positions are read_rope()'s.
ModelSpec read_common_fields(ConfigReader* reader);

Activation read_activation(ConfigReader* reader, const char* key, const char* fallback);

// Gives `window` (0: none) to the layers that `layer_types` calls sliding; without such a list, to those of
// which `slides` is true. A window that covers the whole context hides nothing. Returns which layers slide.
std::vector<bool> read_windows(ConfigReader* reader, ModelConfig* config, int64_t window,
                               const std::function<bool(std::size_t)>& slides);

}  // namespace pagoda
