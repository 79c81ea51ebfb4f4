// How the ops are tuned for the machine at hand: measured at the first start, read from a file at the next.
#pragma once
#include <string>

#include "base/status.h"
#include "runner/cpu_model_runner.h"

namespace pagoda {

struct CpuTuneWish {
  std::string how = "auto";  // auto, off, or a file: read if it is there, else measured and written
  std::string folder;        // of auto's files; empty: the user's cache folder
};

// The user's cache folder for this program: $XDG_CACHE_HOME/pagoda or ~/.cache/pagoda; empty: there is none.
std::string user_cache_folder();

// Sets the tuning of `compute` for this decoder and cache, and says in one line of the log what it is. A
// model too small to be timed keeps the defaults. Errors: --cpu-tune names a file that cannot be read or
// holds something else. That auto cannot keep its result is a warning.
Status tune_cpu(const CpuTuneWish& wish, const Decoder& decoder, DType kv_dtype, int32_t block_size,
                CpuCompute* compute);

}  // namespace pagoda
