#pragma once
#include "assembly/engine_args.h"
#include "base/status.h"
#include "cli/flags.h"

namespace pagoda {

// --kv-offloading-*. Requires: the flags of the prefix cache are read already.
Status read_kv_offload(const FlagValues& flags, CacheArgs* args);

}  // namespace pagoda
