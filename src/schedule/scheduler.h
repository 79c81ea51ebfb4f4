// The schedule room: which sequence computes what in the next step. Catch-up scheduling: there is no prefill
// or decode phase, every sequence has num_computed_tokens catching up with the tokens it has. Single-threaded
// (engine thread), no tensors, no metrics, no clock of its own: statistics come up as values. Owns every
// Request from submit to its last event.
//
// plan() advances: what it schedules counts as computed, what it samples as a placeholder. commit() settles:
// placeholders become tokens. So with max_in_flight 2 the next plan is made while a step runs; a token that
// such a plan computes behind a sequence's end is dropped. Plans run in the order in which they are made.
//
// Sequences are ranked by arrival, or by priority, then arrival. Running ones are scheduled in that order;
// where blocks lack, one behind in rank is preempted and computed again later, so the first always makes
// progress. Admission is by policy (rank, or the least served tenant); a sequence that does not fit is
// bypassed by those behind it a bounded number of times. With n > 1, choice 0 computes the prompt; the others
// sample from its logits, share its full blocks and go on alone. Invariant: each submitted choice ends with
// exactly one event that carries a finish reason.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/small_vector.h"
#include "base/status.h"
#include "contract/engine_config.h"
#include "contract/request.h"
#include "contract/step_plan.h"
#include "contract/step_result.h"
#include "contract/token_event.h"
#include "kv/kv_manager.h"

namespace pagoda {

struct SchedulerStats {
  int32_t num_running = 0, num_waiting = 0, num_deferred = 0;         // choices; deferred: under a hold
  uint64_t num_preemptions = 0, prefix_queries = 0, prefix_hits = 0;  // totals; prefix_*: tokens
  uint64_t prefix_requests = 0;                                       // sequences that asked
  double kv_usage = 0;
  SmallVector<double, 8> kv_group_usage;  // by group: its share of the blocks
  OffloadStats offload;
};

// What the last commit did. A choice's prompt counts once, in the commit that completes it.
struct StepStats {
  int32_t num_prompt_tokens = 0;  // prompt tokens of choices whose prompt is complete ...
  int32_t num_prompt_cached = 0;  // ... and how many of them were found in the cache or shared with choice 0
  int32_t num_prompt_external = 0;  // of the cached ones: loaded from offload
  int32_t num_generated_tokens = 0;
  int32_t num_computed_tokens = 0;    // tokens of the flat batch ...
  int32_t num_recomputed_tokens = 0;  // ... and how many of them a preemption had thrown away
  int32_t num_bad = 0;                // choices whose logits were not finite
  std::vector<double> first_token_s;  // seconds from arrival, of choices that got their first token
  std::vector<double> inter_token_s;  // seconds since the choice's token before
};

// What a choice went through, handed out with its last event: for histograms.
struct FinishedStats {
  RequestId id;
  int32_t choice;
  FinishReason finish;
  ChoiceCounts counts;
  int32_t max_tokens, n;
  bool last_of_request;    // all choices have ended
  int32_t max_num_output;  // over the choices that have ended
  int32_t num_preemptions;
  RequestTimings timings;
};

class Scheduler {
 public:
  Scheduler(const SchedulerConfig& config, KvManager* kv);
  ~Scheduler();

  // Takes the request; its n choices wait. One that could not finish alone in an empty cache ends with kError
  // at once. The queue bound is kept by the engine. Requires: an id not in use, a prompt that is not empty,
  // n > 0.
  void submit(std::unique_ptr<Request> request, Time now, std::vector<TokenEvent>* out);
  // All choices of the request end with kAbort at once; what plans in flight compute for them is dropped.
  void cancel(RequestId id, Time now, std::vector<TokenEvent>* out);
  // For want of memory: the request with the most of it in its answer (choices that go on and tokens of the
  // prompt, times their log-probabilities) ends with kError. Where there is not even memory for that nothing
  // changes: bad_alloc.
  void fail_largest(Time now, std::vector<TokenEvent>* out);
  // One choice ends with kStop at once, the others go on. Harmless for one that has ended.
  void finish(RequestId id, int32_t choice, Time now, std::vector<TokenEvent>* out);
  void release_hold(RequestId id, Hold hold);
  // What runs goes back to the queue and gives its blocks up. Requires: no plan in flight.
  void preempt_all();
  // Closed: running sequences go on, none is admitted.
  void set_admission(bool open);

  // The next step; a plan that is not empty() is in flight until it is committed. empty(): there is nothing
  // to do before the plans in flight are committed, or at all, where there are none. Valid until the next but
  // one plan(). Requires: fewer than max_in_flight plans in flight. Requests past their deadline end with
  // kTimeout first; events to `out`.
  StepPlan& plan(Time now, std::vector<TokenEvent>* out);
  // What plan() does first, for an engine that makes no plans for now.
  void expire(Time now, std::vector<TokenEvent>* out);
  // Commits the oldest plan in flight: appends tokens, checks stop conditions (EOS, stop ids, max_tokens,
  // max_model_len), frees what ended and no other plan in flight uses. At most one event per choice, and one
  // more of each choice of a request that runs out of memory.
  void commit(const StepPlan& plan, const StepResult& result, Time now, std::vector<TokenEvent>* out);
  // Ends everything with this reason: shutdown or a dead engine.
  void abort_all(FinishReason reason, const std::string& error, Time now, std::vector<TokenEvent>* out);

  bool has_work() const;       // something is running or waiting and not under a hold
  Time next_deadline() const;  // plan() has something to end then; Time::max(): never
  // The most tokens that a sequence can have: max_model_len, or less where the whole cache holds less.
  int32_t max_sequence_len() const;
  SchedulerStats stats() const;
  const StepStats& last_step() const;  // valid until the next commit
  // Choices that ended since the last call, to the end of `out`.
  void take_finished(std::vector<FinishedStats>* out);
  // Requests of which no choice waits for its first row any more, since the last call, to the end of `out`.
  void take_begun(std::vector<RequestId>* out);
  Request* find(RequestId id);
  // Aborts where rows, queues and block tables disagree. O(everything); tests only.
  void check() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
