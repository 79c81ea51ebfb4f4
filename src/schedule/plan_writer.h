// Puts rows, work and samples into a StepPlan. Knows the plan's layout; decides nothing.
#pragma once
#include <cstdint>

#include "contract/step_plan.h"
#include "schedule/sequence.h"

namespace pagoda {

// Empties the plan; its vectors keep their memory.
void clear_plan(StepPlan* plan, uint64_t step_id);
// Announces seq->row with all tokens that the sequence has. `same_tokens_as`, where not null, is a row of
// this very plan with the same tokens: they are not written again.
void write_new_row(StepPlan* plan, Sequence* seq, const Sequence* same_tokens_as = nullptr);
// The next num_scheduled tokens of the sequence as one piece of the flat batch, those that are not known yet
// as kFromLastStep. Returns the flat index of the first.
int32_t write_work(StepPlan* plan, const Sequence& seq, int32_t num_scheduled);
// Log-probabilities of the prompt tokens that follow the scheduled positions and have not been reported yet.
void write_prompt_samples(StepPlan* plan, const Sequence& seq, int32_t num_scheduled, int32_t flat_begin);
// The sequence's next token; until the plan is committed it has a placeholder for it.
void write_sample(StepPlan* plan, Sequence* seq, int32_t flat_index);

}  // namespace pagoda
