#pragma once
#include <cstdint>

namespace pagoda {

// Limits of a step and of the queue. Defaults of the server on a CPU as vLLM sets them.
struct SchedulerConfig {
  int32_t max_num_seqs = 128;                // rows alive at once
  int32_t max_num_batched_tokens = 2048;     // tokens per step
  int32_t max_model_len = 2048;              // prompt + output
  int32_t long_prefill_token_threshold = 0;  // 0: off; otherwise the most tokens of one prompt per step
  int32_t max_num_queued_reqs = 4096;        // choices waiting or running over all requests; more are refused
};

struct EngineConfig {
  SchedulerConfig scheduler;
  bool log_stats = true;
  double stats_interval_s = 10;
};

}  // namespace pagoda
