// The scheduler's state and its parts: scheduler.cc is the door and the ends of sequences, scheduler_plan.cc
// shares a step out among the running, scheduler_share.cc the seats among tenants, scheduler_admit.cc lets
// the waiting in, scheduler_commit.cc settles what a step has computed. Private to the schedule room.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "schedule/scheduler.h"
#include "schedule/sequence.h"
#include "schedule/step_budget.h"
#include "schedule/stop.h"
#include "schedule/wait_queue.h"

namespace pagoda {

struct Scheduler::Impl {
  Impl(const SchedulerConfig& config, KvManager* kv);

  // ---- scheduler_plan.cc
  // How the step that is being planned is allotted.
  struct StepAllotment {
    int64_t decodes = 0;   // tokens left for decodes
    int64_t prefills = 0;  // tokens left for prompts ...
    int64_t total = 0;     // ... of so many, sized for this:
    StepDemand demand;
    // One prompt is the first in rank, one the shortest; each gets half, so that neither a long prompt holds
    // up the short ones behind it nor they it. Where the shortest still waits, its half is left for
    // admission.
    int64_t half = 0;
    const Sequence *first = nullptr, *shortest = nullptr;
    const Sequence* front = nullptr;  // first in rank of all that have something to compute
    bool short_of_blocks = false;
    bool may_admit = true;
  };
  // A plan and what its commit learns from. Of step s: flights[(s - 1) % 2].
  struct Flight {
    StepPlan plan;
    StepShape shape;
    Time planned_at{};
  };
  StepPlan& plan(Time now, std::vector<TokenEvent>* out);
  StepAllotment allot();
  static bool is_next_short(const Sequence& a, const Sequence& b);
  bool shorter_waits(const Sequence& than);
  void plan_running(StepAllotment* allotment);
  void plan_leftover(StepAllotment* allotment);
  int32_t chunk(const Sequence& seq, int64_t limit) const;
  bool make_room(Sequence* seq, int32_t num_scheduled, std::size_t place, StepAllotment* allotment);
  bool schedule(Sequence* seq, int32_t num_more);
  void rematch_prefix(Sequence* seq);
  Sequence* cheapest_victim(std::size_t place, bool is_front, int32_t num_missing);
  bool may_preempt();
  void preempt(Sequence* seq);
  void preempt_all();
  void write_sequence(Flight* flight, Sequence* seq);
  void write_copies(StepPlan* plan);
  void sample_siblings(StepPlan* plan, Sequence* leader, int32_t flat_index);
  void expire(Time now, std::vector<TokenEvent>* out);

  // ---- scheduler_share.cc
  void take_back();
  void take_back_seat(const Sequence& next);
  void take_back_blocks(TenantShare* tenant, Rank rank, int64_t wanted);
  Sequence* most_greedy(const TenantShare& tenant, Rank rank, double (TenantShare::*has)() const);
  void count_blocks();
  bool must_hold_back(const TenantShare& tenant) const;

  // ---- scheduler_admit.cc
  enum class Verdict : uint8_t { kAdmitted, kDoesNotFit, kNotReady, kNoMemory };
  void plan_waiting(StepAllotment* allotment, Time now, std::vector<TokenEvent>* out);
  void fail_waiting(Sequence* seq, Time now, std::vector<TokenEvent>* out);
  void release_fetched();
  void hold(Sequence* seq, uint8_t holds);  // one that is in no queue
  void release(Sequence* seq, Hold hold);
  Verdict admit(Sequence* seq, StepAllotment* allotment, Time now);
  Verdict take_cached(Sequence* seq);
  void size_for_context(StepAllotment* allotment, int32_t num_computed) const;
  int64_t blocks_promised() const;
  int64_t blocks_reserved() const;

  // ---- scheduler_commit.cc
  void commit(const StepPlan& plan, const StepResult& result, Time now, std::vector<TokenEvent>* out);
  void lose_work(const StepPlan& plan, Time now, std::vector<TokenEvent>* out);
  void recompute_all(const StepPlan& plan);
  void release_retired(bool were_computed);
  Sequence* owner(const StepPlan& plan, int32_t row) const;
  std::size_t commit_samples(const StepPlan& plan, const StepResult& result, std::size_t sample, Time now,
                             std::vector<TokenEvent>* out);
  struct Range {
    std::size_t begin, end;
  };
  SampleFault take_samples(Sequence* seq, const StepPlan& plan, const StepResult& result, Range samples,
                           Time now, TokenEvent* event);
  void take_token(Sequence* seq, TokenId token, Time now);
  void count_prompt(Sequence* seq, bool shared);
  void fork_from_leader(Sequence* seq);
  void wait_again(Sequence* seq);

  // ---- scheduler.cc
  // Ends a choice: gives its row back and completes the event. Its blocks and memory go at flush_ended().
  void end(Sequence* seq, FinishReason finish, Time now, TokenEvent&& event, std::vector<TokenEvent>* out);
  // Where memory lacks all or nothing: bad_alloc.
  void end_all(RequestState* state, FinishReason finish, const std::string& error, Time now,
               std::vector<TokenEvent>* out, bool no_memory = false);
  bool reserve_output(Sequence* seq) const;  // false: there is no memory for its tokens
  void flush_ended();
  void release_blocks(Sequence* seq);
  void enter(RequestState* state, std::unique_ptr<Request> request);
  void reject_unschedulable(RequestState* state, Time now, std::vector<TokenEvent>* out);
  // The choices that hoped for choice 0's prompt go their own way.
  void detach_siblings(RequestState* state);
  void drop_copies(const Sequence* seq);
  int64_t rank_priority(const Request& request) const;
  void start_running(Sequence* seq);  // takes a row
  void give_row_back(Sequence* seq);
  void begin(Sequence* seq);  // it has waited for its first row
  void insert_running(Sequence* seq);
  TokenEvent event_of(const Sequence& seq) const;
  void check() const;

  const SchedulerConfig config;
  KvManager* const kv;
  const std::size_t num_groups;
  int32_t max_len;

  std::unordered_map<RequestId, std::unique_ptr<RequestState>> requests;
  std::vector<Sequence*> running;  // by rank; all have rows and blocks
  WaitQueue waiting;
  SequenceQueue held;
  int32_t num_attached = 0;  // choices in no queue, over all requests
  bool admission = true;
  RowPool rows;
  struct Lender {  // the tenant that has given a seat back last, and what it may have until then
    uint64_t tenant = 0;
    int32_t most_seats = 0;
    uint64_t until = 0;  // plan
  };
  Lender lender;
  bool any_stalled = false, had_no_room = false;  // in the plan before
  bool lost_waiting = false;                      // one of the waiting found no memory to begin
  StepBudget budget;

  struct PendingCopy {
    Sequence* seq;  // the owner of dst
    BlockCopy copy;
  };
  std::vector<PendingCopy> pending_copies;  // of forks since the last plan
  std::vector<Sequence*> ended;             // since the last flush
  struct Retired {
    uint64_t last_step;
    SeqKv kv;
  };
  std::vector<Retired> retired;        // blocks of ended sequences that a plan in flight uses
  std::vector<Sequence*> passed;       // in this step: waiting ones that others may bypass
  int32_t long_prefill_threshold = 0;  // of this step: most tokens of one prompt; 0: no bound
  int64_t num_promised = 0;            // while admitting: blocks that the running need for what they have

  Flight flights[2];
  uint64_t num_plans = 0, num_committed = 0;
  int32_t num_in_flight() const { return static_cast<int32_t>(num_plans - num_committed); }
  bool must_drain = false;       // no plan before those in flight are committed
  uint64_t lost_until = 0;       // plans up to this one read what one before them did not compute
  uint64_t last_preemption = 0;  // the plan that preempted last, or 0
  Time committed_at{};           // the last
  uint64_t next_order = 0, num_preemptions = 0, prefix_queries = 0, prefix_hits = 0, prefix_requests = 0;
  // A heap, the earliest on top; those of ended requests go when they come up.
  std::vector<std::pair<Time, RequestId>> deadlines;
  StepStats step_stats;
  std::vector<FinishedStats> finished;
  std::vector<RequestId> begun;
};

}  // namespace pagoda
