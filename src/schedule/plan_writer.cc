#include "schedule/plan_writer.h"

#include <algorithm>

namespace pagoda {
namespace {

int32_t append_tokens(StepPlan* plan, const Sequence& seq, int32_t begin, int32_t count) {
  auto at = static_cast<int32_t>(plan->tokens.size());
  const int32_t num_known = std::min(count, seq.num_tokens() - begin);
  seq.tokens().append_to(&plan->tokens, static_cast<std::size_t>(begin), static_cast<std::size_t>(num_known));
  plan->tokens.insert(plan->tokens.end(), static_cast<std::size_t>(count - num_known), kFromLastStep);
  return at;
}

}  // namespace

void clear_plan(StepPlan* plan, uint64_t step_id) {
  plan->step_id = step_id;
  plan->num_tokens = 0;
  plan->mask_words = 0;
  plan->freed_rows.clear();
  plan->new_rows.clear();
  plan->new_blocks.clear();
  plan->moves.clear();
  plan->copies.clear();
  plan->work.clear();
  plan->samples.clear();
  plan->tokens.clear();
  plan->block_ids.clear();
  plan->params.clear();
  plan->masks.clear();
}

void write_new_row(StepPlan* plan, Sequence* seq, const Sequence* same_tokens_as) {
  const Request& request = *seq->request->request;
  seq->row_announced = true;
  seq->row_step = plan->step_id;
  seq->row_token_begin = same_tokens_as != nullptr ? same_tokens_as->row_token_begin
                                                   : append_tokens(plan, *seq, 0, seq->num_tokens());
  plan->new_rows.push_back({.id = request.id,
                            .row = seq->row,
                            .choice = seq->choice,
                            .token_begin = seq->row_token_begin,
                            .num_tokens = seq->num_tokens(),
                            .num_prompt_tokens = seq->num_prompt(),
                            .params_index = static_cast<int32_t>(plan->params.size()),
                            .lora_id = request.lora_id});
  plan->params.push_back(request.params);
  plan->params.back().seed += static_cast<uint64_t>(seq->choice);
}

int32_t write_work(StepPlan* plan, const Sequence& seq, int32_t num_scheduled) {
  bool brought_here = seq.row_step == plan->step_id;
  plan->work.push_back(
      {.row = seq.row,
       .num_computed_tokens = seq.num_computed,
       .num_scheduled_tokens = num_scheduled,
       .num_draft_tokens = 0,
       .token_begin = brought_here ? seq.row_token_begin + seq.num_computed
                                   : append_tokens(plan, seq, seq.num_computed, num_scheduled),
       .num_replayed_tokens = std::clamp(seq.kv.replay_end - seq.num_computed, 0, num_scheduled)});
  int32_t flat_begin = plan->num_tokens;
  plan->num_tokens += num_scheduled;
  return flat_begin;
}

void write_prompt_samples(StepPlan* plan, const Sequence& seq, int32_t num_scheduled, int32_t flat_begin) {
  // The logits at position p are those of token p + 1.
  int32_t end = std::min(seq.num_computed + num_scheduled, seq.num_prompt() - 1);
  for (int32_t p = std::max(seq.num_computed, seq.num_prompt_reported); p < end; ++p) {
    plan->samples.push_back({.row = seq.row,
                             .flat_index = flat_begin + p - seq.num_computed,
                             .output_index = 0,
                             .mask_row = -1,
                             .target = seq.prompt[static_cast<std::size_t>(p + 1)],
                             .kind = SampleKind::kPromptLogprobs});
  }
}

void write_sample(StepPlan* plan, Sequence* seq, int32_t flat_index) {
  plan->samples.push_back({.row = seq->row,
                           .flat_index = flat_index,
                           .output_index = seq->num_output() + seq->num_output_placeholders,
                           .mask_row = -1,
                           .target = -1,
                           .kind = SampleKind::kSample});
  ++seq->num_output_placeholders;
}

}  // namespace pagoda
