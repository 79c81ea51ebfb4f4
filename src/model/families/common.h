#pragma once
#include "base/status.h"
#include "base/value.h"
#include "model/config.h"
#include "model/config_reader.h"

namespace pagoda {

// The fields that most families name alike, as Hugging Face's configuration classes define them: sizes,
// heads, norm, positions, tied head, special ids; all layers alike. Defaults are those classes'.
ModelSpec read_common_fields(ConfigReader* reader);

// `rope_theta`, and the scaling under `rope_scaling` or the newer `rope_parameters`, by `rope_type` or the
// older `type`: one more of config->ropes. Requires: the layers.
void read_rope(ConfigReader* reader, ModelConfig* config);

}  // namespace pagoda
