// The schedule room: who computes what in the next step. Catch-up scheduling: there is no prefill or decode phase, every
// sequence has num_computed_tokens catching up with the tokens it has. Single-threaded (engine thread), no tensors, no
// metrics, no clock of its own. Owns every Request from submit to its last event.
// Invariant: each submitted choice ends with exactly one event that carries a finish reason.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "contract/engine_config.h"
#include "contract/request.h"
#include "contract/step_plan.h"
#include "contract/step_result.h"
#include "contract/token_event.h"
#include "kv/kv_manager.h"

namespace pagoda {

struct SchedulerStats {
  int32_t num_running = 0, num_waiting = 0, num_deferred = 0;  // choices; deferred: under a hold
  uint64_t num_preemptions = 0, prefix_queries = 0, prefix_hits = 0;  // totals; prefix_*: tokens
  double kv_usage = 0;
};

// What a choice went through, handed out with its last event: for histograms.
struct FinishedStats {
  RequestId id;
  int32_t choice;
  FinishReason finish;
  int32_t num_prompt, num_output, max_tokens, n;
  Time arrival, scheduled, first_token, last_token, finished;  // unset ones are Time{}
};

class Scheduler {
 public:
  Scheduler(const SchedulerConfig& config, KvManager* kv);
  ~Scheduler();

  // Takes the request; its n choices wait. The queue bound is kept by the engine.
  void submit(std::unique_ptr<Request> request);
  // All choices of the request end with kAbort at the next commit (or at once when no step is in flight).
  void cancel(RequestId id, std::vector<TokenEvent>* out);
  void release_hold(RequestId id, Hold hold);

  // The next step; empty() when there is nothing to do. Valid until the next but one plan(). Requests that can never run
  // (a prompt larger than the whole cache) end with kError, requests past their deadline with kAbort; events to `out`.
  StepPlan& plan(Time now, std::vector<TokenEvent>* out);
  // Settles a plan: appends tokens, judges stop conditions (EOS, stop ids, max_tokens, max_model_len), frees what ended.
  void commit(const StepPlan& plan, const StepResult& result, Time now, std::vector<TokenEvent>* out);
  // Ends everything with this reason: shutdown or a dead engine.
  void abort_all(FinishReason reason, const std::string& error, std::vector<TokenEvent>* out);

  bool has_work() const;
  SchedulerStats stats() const;
  std::vector<FinishedStats> take_finished();
  Request* find(RequestId id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
