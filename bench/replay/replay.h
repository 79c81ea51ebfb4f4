// A trace through the real scheduler and KV manager on a virtual clock: only the device is pretended, by what
// a step of an 8B model in bfloat16 takes on it. Deterministic.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/replay/trace.h"
#include "contract/engine_config.h"

namespace pagoda {

// max(weights / bandwidth, operations / peak) + keys and values / bandwidth + attention / its peak +
// overhead.
struct Device {
  // Llama-3.1-8B: weights that a step reads, operations per token, bytes of K and V per token, operations per
  // (query, key) pair over all layers.
  double weight_bytes = 15.0e9, flop_per_token = 2 * 7.5e9, kv_bytes = 131072, flop_per_pair = 4. * 32 * 4096;
  // An H200 as achieved, not as printed on the box.
  double bytes_per_s = 4.0e12, flop_per_s = 650e12, attention_flop_per_s = 550e12, overhead_s = 0.3e-3;
  double memory_bytes = 143771. * (1 << 20), memory_share = 0.92, scratch_bytes = 4e9;

  double step_s(double tokens, double attended, double pairs) const;
  int32_t num_blocks(int32_t block_size) const;
};

struct Scenario {
  std::string name;
  SchedulerConfig scheduler;
  bool prefix_cache = true;
  int32_t num_blocks = 0;
  double stretch = 1;  // arrivals are so many times further apart; 0: all at once
};

struct Percentiles {
  double p50 = 0, p90 = 0, p99 = 0;
};

struct Replay {
  Percentiles ttft_s, itl_s, e2e_s;
  std::map<int64_t, Percentiles> ttft_of_class;
  double duration_s = 0, mean_ttft_s = 0;
  double prompt_tokens_per_s = 0, output_tokens_per_s = 0;
  double hit_rate = 0;
  int64_t num_steps = 0, num_preemptions = 0, num_recomputed = 0;
  double worst_itl_s = 0;
  double host_us_per_step = 0;  // of the scheduler itself, measured
};

inline constexpr int32_t kReplayBlock = 16;

Replay replay(const std::vector<TraceRequest>& trace, const Scenario& scenario, const Device& device);

}  // namespace pagoda
