// How long blocks of the cache keep their content, of a sample of them: from allocation to eviction,
// how long they were idle by then, and the time between the last hits. Private to the kv
// room.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/small_vector.h"
#include "contract/types.h"
#include "kv/kv_manager.h"

namespace pagoda {

class ResidencySampler {
 public:
  explicit ResidencySampler(double sample) : sample_(sample) {}  // share of the blocks, 0 < sample <= 1

  void set_now(Time now) { now_ = now; }
  void on_allocated(BlockId block);
  void on_found(BlockId block);    // a match has taken a reference
  void on_evicted(BlockId block);  // its content gives way
  void clear() { tracked_.clear(); }
  // Those that have ended since the last call, to the end of `out`.
  void take(std::vector<BlockResidency>* out);

 private:
  static constexpr std::size_t kFoundMax = 4;  // as vLLM
  struct Tracked {
    Time born, last_found;
    SmallVector<Time, kFoundMax> found;  // the last ones
  };
  bool is_sampled();

  const double sample_;
  Time now_{};
  uint64_t draws_ = 0;
  std::unordered_map<BlockId, Tracked> tracked_;
  std::vector<BlockResidency> ended_;
};

}  // namespace pagoda
