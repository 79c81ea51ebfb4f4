#pragma once
#include "base/status.h"
#include "base/value.h"
#include "model/config.h"
#include "model/config_reader.h"

namespace pagoda {

// The fields that most families name alike, as Hugging Face's configuration classes define them: sizes,
// heads, norm, positions, tied head, special ids. Defaults are those classes'.
ModelSpec read_common_fields(ConfigReader* reader);

// `rope_theta`, and the scaling under `rope_scaling` or the newer `rope_parameters`, by `rope_type` or the
// older `type`.
void read_rope(ConfigReader* reader, ModelConfig* config);

// Each family: config.json -> its table. Errors name the field.
Result<ModelSpec> read_llama_spec(const Value& config);
Result<ModelSpec> read_mistral_spec(const Value& config);

}  // namespace pagoda
