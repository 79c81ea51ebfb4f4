// Sequences that wait for a row and for blocks, in the order of the policy, by tenant. Tenants with waiting
// sequences take turns: under fcfs and priority the one that holds the fewest seats (rows) goes
// next, by weight, then the one that had the fewest turns; under priority among those whose first is the most
// important. Under fair it is the one that has been served least, by weighted tokens (virtual token counters:
// Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024). Within a tenant it goes by rank; so
// one tenant alone is served by rank. A walk looks at them in that order, takes some and passes others.
#pragma once
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "contract/engine_config.h"
#include "schedule/sequence.h"

namespace pagoda {

// What one tenant waits for, and what it holds and has been given.
struct TenantShare {
  uint64_t key = 0;
  double weight = 1;
  // Turns, or under fair tokens by cost; by weight. Never less, as it begins to wait, than the least
  // waiting's.
  double served = 0;
  int32_t num_active = 0;  // its choices that have not ended
  int32_t num_seats = 0;   // rows that they have
  int64_t num_blocks = 0;  // that they held when they were counted last
  SequenceQueue waiting;
  int32_t place = -1;          // in the list of those with waiting sequences
  Sequence* cursor = nullptr;  // of the walk

  double seats() const { return num_seats / weight; }
  double blocks() const { return static_cast<double>(num_blocks) / weight; }
};

class WaitQueue {
 public:
  explicit WaitQueue(SchedulingPolicy policy) : policy_(policy) {}

  // `count` choices of a tenant enter the engine; each leaves by itself. prepare() comes first and is all
  // that may find no memory.
  void prepare(uint64_t tenant_key);
  TenantShare* join(uint64_t tenant_key, uint32_t weight, int32_t count);
  void leave(Sequence* seq);
  // Charges a sequence's tenant; costs nothing under other policies than fair.
  void charge(Sequence* seq, int64_t num_prompt_tokens, int64_t num_output_tokens) const;

  bool empty() const { return size_ == 0; }
  int32_t size() const { return size_; }
  // Several tenants have choices that have not ended.
  bool is_contested() const { return num_tenants_ > 1; }
  void insert(Sequence* seq);
  void remove(Sequence* seq);

  void begin_walk();
  Sequence* current() const { return walk_.empty() ? nullptr : walk_.front()->cursor; }  // null: it is over
  void pass();         // leaves the current one in its place
  void pass_tenant();  // and all that its tenant waits for
  void take();         // takes the current one out; give it its seat and charge its tenant before

 private:
  bool is_fair() const { return policy_ == SchedulingPolicy::kFair; }
  void advance(Sequence* next);

  const SchedulingPolicy policy_;
  std::unordered_map<uint64_t, std::unique_ptr<TenantShare>> tenants_;
  int32_t num_tenants_ = 0;            // that are active
  std::vector<TenantShare*> waiting_;  // those with waiting sequences
  std::vector<TenantShare*> walk_;     // a heap: those with sequences left in this walk, the next on top
  double last_served_ = 0;             // of the tenant whose last waiting sequence left last
  int32_t size_ = 0;
};

}  // namespace pagoda
