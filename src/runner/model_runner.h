// The runner room: turns a StepPlan into a StepResult. Owns the decoder, the KV bytes and the state of every
// row (tokens, block tables, sampling parameters, penalty counts); it never sees a Request, a Scheduler or a
// grammar, only plans. Used by the engine thread alone.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "contract/kv_group.h"
#include "contract/kv_offload.h"
#include "contract/step_plan.h"
#include "contract/step_result.h"

namespace pagoda {

// Implementations: one device; tensor-parallel leader; fake (tests).
class ModelRunner {
 public:
  virtual ~ModelRunner() = default;
  // CPU: may only note it. CUDA: enqueues. Plans run in the order of their launches, each seeing all that the
  // ones before it have written; kFromLastStep in a plan is what the plan before it samples for the row, and
  // where that has no token, any: nothing that is computed from it is read. The plan must stay valid until
  // wait returns. Requires: fewer than max_in_flight() plans in flight.
  virtual Status launch(const StepPlan& plan) = 0;
  // CPU: computes here; the caller is worker 0 of the compute pool. An error is sticky: the engine is dead.
  // Replaces everything in `result`; handed in again step after step, its vectors keep their memory.
  virtual Status wait(uint64_t step_id, StepResult* result) = 0;
  virtual int32_t vocab_size() const = 0;
  // Plans that launch() takes before the first of them is waited for: 1 or 2.
  virtual int32_t max_in_flight() const { return 1; }

  // Gives memory back until wake(); weights and cache are gone, so the cache's bookkeeping forgets all that
  // it held, and no row goes on with tokens computed before. Levels 1 and 2 as vLLM's; what they keep is the
  // implementation's matter. While asleep nothing is launched. Requires: no plan in flight. sleep() and
  // wake() are idempotent.
  virtual Status sleep(int /*level*/) { return unimplemented("this runner cannot sleep"); }
  // The cache is zero. After an error it still sleeps, and may be woken again. Takes as long as loading does.
  virtual Status wake() { return unimplemented("this runner cannot sleep"); }
  virtual bool is_sleeping() const { return false; }

  // Appends the spills and fetches of plans so far that have ended since the last call. Between other calls.
  virtual void take_ended_moves(std::vector<OffloadMoveEnd>* /*ended*/) {}
  // Before the first plan: `wake` is called whenever there is something for take_ended_moves(), on a thread
  // of the runner, until the runner is destroyed.
  virtual void on_move_end(std::function<void()> /*wake*/) {}
};

}  // namespace pagoda
