#pragma once
#include "base/value.h"

namespace pagoda {

// Replaces members of config.json by a user's, whole. A setting that config.json spells otherwise gives way
// too: `rope_theta` also replaces `rope_parameters.rope_theta`, `rope_scaling` what `rope_parameters` says of
// scaling, `torch_dtype` `dtype`.
void override_config(Object* config, const Object& overrides);

}  // namespace pagoda
