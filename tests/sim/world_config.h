// What one simulated world is like: everything about it is drawn from its seed.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/rng.h"
#include "contract/engine_config.h"
#include "contract/kv_group.h"
#include "tests/testing/fake_runner.h"

namespace pagoda::sim {

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  int pick(int low, int high) {
    return low + static_cast<int>(random_.below(static_cast<uint64_t>(high - low + 1)));
  }
  bool chance(double probability) { return random_.uniform() < probability; }
  uint64_t next() { return random_.next(); }

 private:
  SplitMix64 random_;
};

// What a step costs on the virtual clock.
struct StepClock {
  double base_ms = 1, token_ms = 0, context_ms = 0, pair_ms = 0;
  double ms(int64_t tokens, int64_t decode_context, double prefill_pairs) const {
    return base_ms + token_ms * static_cast<double>(tokens) +
           context_ms * static_cast<double>(decode_context) + pair_ms * prefill_pairs;
  }
};

struct WorldConfig {
  uint64_t seed = 0;
  bool large = false;
  SchedulerConfig scheduler;
  PrefixCacheConfig cache;
  std::vector<KvGroupSpec> groups;
  int num_blocks = 2;
  testing::FakeModel model;
  testing::FakeOffloadConfig offload;
  StepClock clock;
  int num_requests = 0, max_live = 0;
  int num_tenants = 1, num_scopes = 1;  // a scope: salt and adapter
  bool has_forks = true, has_images = false;
  double arrival = 0.5;                                      // chance of one more, per step and free place
  double cancel = 0, close = 0, preempt_all = 0, reset = 0;  // chances per step

  bool has_windows() const { return has(KvKind::kSlidingWindow); }
  bool has_states() const { return has(KvKind::kRecurrentState); }
  bool has(KvKind kind) const { return std::ranges::count(groups, kind, &KvGroupSpec::kind) > 0; }
  bool has_disk() const { return cache.offload_disk_slots > 0; }
  uint32_t weight_of(uint64_t tenant) const { return 1 + static_cast<uint32_t>((tenant + seed) % 3); }
};

// The same world for plans in flight: 1 or 2.
WorldConfig draw_world(uint64_t seed, int max_in_flight);

}  // namespace pagoda::sim
