#pragma once
#include <span>

#include "cli/flags.h"

namespace pagoda {

// The flags of `pagoda serve`: vLLM's front-end, model, load, cache, scheduler, parallel, LoRA, speculation
// and observability groups, and our own.
std::span<const FlagSpec> serve_flag_table();
// Its parts, one file each.
std::span<const FlagSpec> frontend_flag_table();
std::span<const FlagSpec> model_flag_table();
std::span<const FlagSpec> engine_flag_table();

}  // namespace pagoda
