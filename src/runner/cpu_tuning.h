// How the ops are tuned for the machine at hand: measured at the first start, read from a file at the next.
#pragma once
#include <string>

#include "base/status.h"
#include "decoder/decoder.h"
#include "ops/cpu/cpu_stream.h"
#include "runner/runner_config.h"

namespace pagoda {

// The user's cache folder for this program: $XDG_CACHE_HOME/pagoda or ~/.cache/pagoda; empty: there is none.
std::string user_cache_folder();

// Sets the tuning of `stream` for this decoder and cache, and says in one line of the log what it is. A
// model too small to be timed keeps the defaults. Errors: --cpu-tune names a file that cannot be read or
// holds something else. That auto cannot keep its result is a warning.
Status tune_cpu(const CpuTuneOptions& options, const Decoder& decoder, DType kv_dtype, int32_t block_size,
                CpuStream* stream);

}  // namespace pagoda
