// The scheduler's state and its parts: scheduler.cc is the door and the ends of sequences, scheduler_plan.cc
// makes plans, scheduler_commit.cc settles them. Private to the schedule room.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "schedule/queue.h"
#include "schedule/row_pool.h"
#include "schedule/scheduler.h"
#include "schedule/sequence.h"
#include "schedule/stop.h"

namespace pagoda {

struct Scheduler::Impl {
  Impl(const SchedulerConfig& config, KvManager* kv);

  // ---- scheduler_plan.cc
  StepPlan& plan(Time now, std::vector<TokenEvent>* out);
  void plan_running(StepPlan* plan, int32_t* budget, bool* preempted);
  void plan_waiting(StepPlan* plan, int32_t* budget, Time now, std::vector<TokenEvent>* out);
  bool admit(StepPlan* plan, Sequence* seq, int32_t* budget, Time now);
  int32_t tokens_to_schedule(const Sequence& seq, int32_t budget) const;
  void schedule(StepPlan* plan, Sequence* seq, int32_t num_scheduled);
  void sample_siblings(StepPlan* plan, Sequence* leader, int32_t flat_index);
  void preempt(Sequence* seq);
  void expire(Time now, std::vector<TokenEvent>* out);

  // ---- scheduler_commit.cc
  void commit(const StepPlan& plan, const StepResult& result, Time now, std::vector<TokenEvent>* out);
  std::size_t settle(const StepPlan& plan, const StepResult& result, std::size_t sample, Time now,
                     std::vector<TokenEvent>* out);
  void take_token(Sequence* seq, TokenId token, Time now);
  void count_prompt(Sequence* seq, bool shared);
  void fork_from_leader(Sequence* seq);

  // ---- scheduler.cc
  // Ends a choice: gives its row back and completes the event. Its blocks and memory go at flush_ended().
  void end(Sequence* seq, FinishReason finish, Time now, TokenEvent&& event, std::vector<TokenEvent>* out);
  void end_all(RequestState* state, FinishReason finish, const std::string& error, Time now,
               std::vector<TokenEvent>* out);
  void flush_ended();
  // The choices that hoped for choice 0's prompt go their own way.
  void detach_siblings(RequestState* state);
  void drop_copies(const Sequence* seq);
  TokenEvent event_of(const Sequence& seq) const;
  void check() const;

  const SchedulerConfig config;
  KvManager* const kv;
  int32_t max_len;

  std::unordered_map<RequestId, std::unique_ptr<RequestState>> requests;
  std::vector<Sequence*> running;  // in order of admission; all have rows and blocks
  SequenceQueue waiting, held;
  int32_t num_attached = 0;  // choices in no queue, over all requests
  RowPool rows;

  struct PendingCopy {
    const Sequence* seq;  // the owner of dst
    BlockCopy copy;
  };
  std::vector<PendingCopy> pending_copies;  // of forks since the last plan
  std::vector<Sequence*> ended;             // since the last flush

  StepPlan plans[2];
  uint64_t num_plans = 0;
  bool in_flight = false;
  uint64_t next_order = 0, num_preemptions = 0, prefix_queries = 0, prefix_hits = 0;
  Time earliest_deadline = Time::max();  // no deadline is before it
  StepStats step_stats;
  std::vector<FinishedStats> finished;
};

}  // namespace pagoda
