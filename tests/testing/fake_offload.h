// Offloading of the fake runner: slots and files hold what the fake cache holds, hashes. Spills, fetches
// and drops end some steps later, or fail, at random; every move is distrusted.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "contract/kv_offload.h"
#include "contract/step_plan.h"

namespace pagoda::testing {

struct FakeOffloadConfig {
  int32_t num_slots = 0;     // 0: no offloading
  uint64_t end_one_in = 3;   // a move under way ends when looked for, once in so many times
  uint64_t fail_one_in = 0;  // one spill or fetch in so many fails; 0: none
  uint64_t seed = 1;
};

class FakeOffload {
 public:
  using Expect = std::function<void(bool, const char*)>;
  // The hashes of a block of the cache.
  using BlockOf = std::function<std::span<uint64_t>(int32_t group, BlockId block)>;

  FakeOffload(const FakeOffloadConfig& config, Expect expect, BlockOf block_of);

  void run_stores(const StepPlan& plan);
  void run_loads(const StepPlan& plan);
  // Begins the plan's other moves.
  void begin_background(const StepPlan& plan);
  // Ends some.
  void take_ended(std::vector<OffloadMoveEnd>* ended);
  bool is_busy() const { return !writes_.empty() || !fetches_.empty(); }
  std::size_t num_files() const { return files_.size(); }
  uint64_t num_loads() const { return num_loads_; }
  uint64_t num_fetched() const { return num_fetched_; }

 private:
  using Id = std::pair<std::array<uint8_t, 32>, int32_t>;
  struct Slot {
    bool filled = false;
    bool is_spilled = false, is_fetched = false;  // a move that has not ended
    bool is_busy() const { return is_spilled || is_fetched; }
    BlockKey key;
    int32_t group = 0;
    std::vector<uint64_t> content;
  };
  struct Pending {
    OffloadMove move;
    std::vector<uint64_t> content;  // kSpill: of the slot when it began
  };
  Slot* slot_at(const OffloadMove& move);
  void begin(const OffloadMove& move);
  void end_some(std::deque<Pending>* queue, std::vector<OffloadMoveEnd>* ended);
  void end(const Pending& pending, std::vector<OffloadMoveEnd>* ended);

  const FakeOffloadConfig config_;
  const Expect expect_;
  const BlockOf block_of_;
  SplitMix64 random_;
  std::vector<Slot> slots_;
  std::map<Id, std::vector<uint64_t>> files_;
  std::deque<Pending> writes_, fetches_;  // each in its order
  uint64_t num_loads_ = 0, num_fetched_ = 0;
};

}  // namespace pagoda::testing
