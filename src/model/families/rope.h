#pragma once
#include <string>

#include "base/value.h"
#include "model/config.h"
#include "model/config_reader.h"

namespace pagoda {

// The rotary positions of all layers alike, as config->ropes: `rope_theta`, `partial_rotary_factor`, and the
// scaling under `rope_scaling` or the newer `rope_parameters`. Linear scaling stretches config's
// context_length. Requires: the layers.
void read_rope(ConfigReader* reader, ModelConfig* config, double default_theta = 10000);

// One table of angles: what `object` says (scaling by `rope_type` or the older `type`; null: nothing), else
// `theta` and what `reader` says beside it. `where` names the object in messages.
RopeConfig read_rope_object(ConfigReader* reader, const Value* object, const std::string& where,
                            const ModelConfig& config, double theta);

double read_theta(ConfigReader* reader, const char* key, double fallback);

}  // namespace pagoda
