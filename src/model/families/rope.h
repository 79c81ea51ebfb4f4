#pragma once
#include "model/config.h"
#include "model/config_reader.h"

namespace pagoda {

// Rotary positions are told in `rope_scaling`, in the newer `rope_parameters` and beside them. A field of
// `rope_scaling` comes before that of `rope_parameters`, and either before `rope_theta` and
// `partial_rotary_factor` beside them; `original_max_position_embeddings` beside them comes first, as
// transformers has it. Requires: the layers.

// What a family's configuration class has where config.json says nothing.
struct RopeDefaults {
  double theta = 10000;
  int64_t original_context = 0;  // 0: the context's length
};

// The angles of all layers alike, as config->ropes. Linear scaling stretches config's context_length.
void read_rope(ConfigReader* reader, ModelConfig* config, const RopeDefaults& defaults = {});

// Those of full attention and of sliding windows: `rope_parameters` has an object for each kind of layer.
// `rope_scaling` and `rope_theta` are for the first, `rope_local_base_freq` is for the second.
void read_ropes_by_kind(ConfigReader* reader, ModelConfig* config, const RopeDefaults& full_defaults,
                        const RopeDefaults& sliding_defaults);

}  // namespace pagoda
