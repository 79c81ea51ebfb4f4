#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/cpu_plan.h"
#include "decoder/decoder.h"
#include "kv_offload/offload_worker.h"

namespace pagoda {

// Logits are made for some rows at a time, in no more memory than this (or one row).
inline constexpr std::size_t kLogitsBytes = 64ull << 20;

struct RunnerSizes {
  int32_t max_num_seqs = 0, max_num_batched_tokens = 0;
  int32_t block_size = 16, num_blocks = 0;  // including the null block
  DType kv_dtype = DType::kF32;             // any that KvLayout takes
  std::size_t logits_bytes = kLogitsBytes;
};

// Loads the weights onto the device, on the calling thread and the stream's pool.
using DecoderLoader = std::function<Result<std::unique_ptr<Decoder>>(ComputeStream&)>;

// How the kernels are tuned for the machine at hand.
struct CpuTuneOptions {
  std::string how = "auto";  // auto, off, or a file: read if it is there, else measured and written
  std::string folder;        // of auto's files; empty: the user's cache folder
};

struct RunnerConfig {
  RunnerSizes sizes;
  CpuPlan cpus;
  CpuTuneOptions cpu_tune;
  DecoderLoader load;    // called once, by make_runner()
  DecoderLoader reload;  // the same weights again, when the runner wakes; empty: it cannot sleep
  OffloadConfig offload;
};

}  // namespace pagoda
