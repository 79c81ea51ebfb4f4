// How much of a step is for prompts. Decoding sequences wait for the whole step, so its prefill tokens set
// their inter-token latency: with `adaptive_chunks` it is sized from the learned step time.
#pragma once
#include <cstdint>

#include "contract/engine_config.h"
#include "schedule/step_time.h"

namespace pagoda {

// What wants to run.
struct StepDemand {
  StepShape decodes;  // of the decoding sequences
  int64_t num_decoding = 0;
  int64_t num_prefilling = 0;   // prompts being computed, or waiting to be
  int64_t prefill_context = 0;  // tokens computed of the prompts that come next, the most
};

class StepBudget {
 public:
  explicit StepBudget(const SchedulerConfig& config) : config_(config) {}

  // The most prompt tokens that the next step should compute beside the decodes; at least 1.
  //
  // Under itl_slo_ms: as many as keep all but a few steps in a thousand within it. Without: prompts get the
  // share of the time that they are of the sequences, each counted as one, but at least half of it; so
  // decoding slows down to half its speed while few prompts are there, and gives way when many wait, because
  // then more are served by admitting them.
  int32_t prefill_tokens(const StepDemand& demand) const;
  // Under itl_slo_ms: one more could join the decodes. Without, and while there are none, always.
  bool has_room_for_more(const StepDemand& demand) const;
  void observe(const StepShape& shape, double ms);
  const StepTimeModel& model() const { return model_; }

 private:
  double limit_ms(const StepDemand& demand) const;

  const SchedulerConfig& config_;
  StepTimeModel model_;
  double slo_margin_ = 1.25;   // what is aimed at is the bound divided by it; grows when a step breaks it
  int64_t largest_step_ = 32;  // tokens; a chunk grows no faster than to twice what is known
};

}  // namespace pagoda
