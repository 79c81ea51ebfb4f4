#pragma once
#include <span>

#include "cli/flags.h"

namespace pagoda {

// The flags of `pagoda serve`: vLLM's front-end, model, load, cache, scheduler, parallel, LoRA, speculation
// and observability groups, and our own.
std::span<const FlagSpec> serve_flag_table();

}  // namespace pagoda
