// What must hold in every step, seen from outside: each choice is followed through the plans, knowing nothing
// of the scheduler's own accounting. An invariant that is broken is a test failure.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "contract/step_plan.h"
#include "kv/kv_manager.h"
#include "tests/sim/state.h"
#include "tests/sim/world_config.h"

namespace pagoda::sim {

class Invariants {
 public:
  Invariants(const WorldConfig& config, const KvManager* kv, int32_t max_len, std::map<RequestId, Live>* live,
             Counts* counts);

  // What happens to choices outside of plans.
  void became_ready(Choice* leader);  // it waits, under no hold
  void siblings_ready(Live* live);    // its prompt has been computed
  void took_token(const Choice& choice);
  void ended(Choice* choice);
  void preempted_all();
  void admission_is_closed() { ++slack_; }  // for one step more
  void lost_step() { preempted_all(); }     // what ran behind it is computed again

  void plan(const StepPlan& plan);
  // The oldest plan in flight is about to be committed.
  void commit();
  void check_starvation();
  // The step's time on the virtual clock, of the last plan.
  double step_ms() const { return step_ms_; }
  int64_t num_steps() const { return num_steps_; }
  // No world takes more steps than this.
  int64_t most_steps(int64_t num_choices) const { return (num_choices + 2) * steps_alone() * 4 + 20000; }

 private:
  struct RowState {
    Choice* choice = nullptr;  // null: none, or one that has ended since
    bool used = false;
    uint64_t work_step = 0, new_step = 0;
  };
  struct ByRank {
    bool operator()(const Choice* a, const Choice* b) const { return a->rank < b->rank; }
  };
  struct Shape {
    int64_t tokens = 0, decode_context = 0, num_decoding = 0, num_waiting_for_it = 0, least_tokens = 0;
    double pairs = 0, least_pairs = 0;
    double ms(const StepClock& clock) const { return clock.ms(tokens, decode_context, pairs); }
  };
  struct TenantState {
    double served = 0;  // since the start, by cost and weight
    int32_t num_waiting = 0;
  };
  struct PairState {  // of tenants: both have had waiting choices since ...
    bool backlogged = false;
    double base = 0;  // ... when this was the difference of what they had been served
  };

  static std::size_t index(int64_t i) { return static_cast<std::size_t>(i); }
  int64_t steps_alone() const;
  int64_t bound() const;
  void wait(Choice* choice);
  void stop_waiting(Choice* choice);
  int64_t num_remaining(const Choice& choice) const;
  const Choice* first_running(uint64_t step) const;
  void free_rows(const StepPlan& plan);
  std::vector<Choice*> take_new_rows(const StepPlan& plan);
  void check_bypass(const std::vector<Choice*>& admitted);
  void check_work(const StepPlan& plan);
  void check_samples(const StepPlan& plan);
  void check_latency(const Shape& shape);
  void check_fairness();

  const WorldConfig& config_;
  const KvManager* kv_;
  const int32_t max_len_;
  std::map<RequestId, Live>* live_;
  Counts* counts_;
  std::vector<RowState> rows_;
  std::deque<std::vector<std::pair<RequestId, int32_t>>> in_flight_;  // choices that each plan samples
  std::set<Choice*, ByRank> waiting_;  // those known to wait: leaders, and choices that have had a row
  std::vector<TenantState> tenants_;
  std::vector<PairState> pairs_;
  int64_t num_steps_ = 0, slack_ = 0;
  bool preempted_all_ = false;
  double step_ms_ = 0;
  int64_t num_timed_ = 0;
};

}  // namespace pagoda::sim
