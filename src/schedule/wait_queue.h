// Those who wait for a row and for blocks, in the order of the policy. fcfs and priority: one queue by rank.
// fair: one queue per client; the client that has been served least, by weighted tokens, goes next (virtual
// token counters: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024). A walk looks at them
// in that order, takes some and passes others.
#pragma once
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "contract/engine_config.h"
#include "schedule/queue.h"

namespace pagoda {

// Under the fair policy: what one client waits for, and what it has been given.
struct Client {
  uint64_t key = 0;
  double weight = 1;
  double served = 0;  // tokens by cost and weight; never less, as it begins to wait, than the least waiting's
  int32_t num_active = 0;  // its choices that have not ended
  SequenceQueue waiting;
  Sequence* cursor = nullptr;  // of the walk
};

class WaitQueue {
 public:
  explicit WaitQueue(SchedulingPolicy policy) : policy_(policy) {}

  // A sequence enters and leaves the engine: its client becomes or ceases to be active.
  // prepare() comes first and is all that may find no memory.
  void prepare(uint64_t client_key);
  void join(Sequence* seq, uint64_t client_key, uint32_t weight);
  void leave(Sequence* seq);
  // Charges a sequence's client; costs nothing under other policies.
  static void charge(Sequence* seq, int64_t num_prompt_tokens, int64_t num_output_tokens);

  bool empty() const { return size_ == 0; }
  int32_t size() const { return size_; }
  void insert(Sequence* seq);
  void remove(Sequence* seq);

  void begin_walk();
  Sequence* current() const { return current_; }  // null: the walk is over
  void pass();                                    // leaves the current one in its place
  void take();                                    // takes the current one out; charge its client before

 private:
  void advance();
  bool is_fair() const { return policy_ == SchedulingPolicy::kFair; }

  const SchedulingPolicy policy_;
  SequenceQueue queue_;  // fcfs, priority
  std::unordered_map<uint64_t, std::unique_ptr<Client>> clients_;
  std::vector<Client*> walk_;  // a heap: those with someone left in this walk, the least served on top
  Sequence* current_ = nullptr;
  double last_served_ = 0;  // of the client that was the last to have nobody waiting any more
  int32_t size_ = 0;
};

}  // namespace pagoda
