#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace pagoda {

struct DecodeShape {
  int32_t num_seqs, context;
};

struct StepFlags {
  std::string hf_config, dtype = "bfloat16", kv_cache_dtype = "bfloat16", quantization = "none";
  std::vector<std::string> cpu_tune = {"auto"};  // each auto, off, or a file
  int threads = 0;                               // 0: usable_cpu_count()
  int32_t prefill = 0, chunk = 2048, steps = 8, repeat = 3;
  std::vector<DecodeShape> decode;
  double memory_limit_gb = 0;  // 0: 60 % of what the process may use
  bool json = false, probe = false, help = false;
};

extern const char* const kStepUsage;
Result<StepFlags> parse_step_flags(const std::vector<std::string>& arguments);

}  // namespace pagoda
