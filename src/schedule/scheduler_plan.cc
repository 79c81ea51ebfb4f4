// Scheduler::plan: the running ones in order, then the waiting ones in order, within the step's budget of
// tokens.
#include <algorithm>

#include "base/check.h"
#include "schedule/plan_writer.h"
#include "schedule/scheduler_impl.h"

namespace pagoda {

StepPlan& Scheduler::Impl::plan(Time now, std::vector<TokenEvent>* out) {
  PAGODA_CHECK(!in_flight, "the plan before is not committed");
  StepPlan* plan = &plans[num_plans % 2];
  clear_plan(plan, num_plans + 1);
  if (now >= earliest_deadline) expire(now, out);

  int32_t budget = config.max_num_batched_tokens;
  bool preempted = false;
  plan_running(plan, &budget, &preempted);
  if (!preempted) plan_waiting(plan, &budget, now, out);
  flush_ended();
  if (plan->empty()) {
    // The oldest running sequence can always take the blocks of all others.
    PAGODA_CHECK(running.empty() && waiting.empty(), "nothing is planned though something could run");
    return *plan;
  }

  for (const PendingCopy& pending : pending_copies) plan->copies.push_back(pending.copy);
  pending_copies.clear();
  rows.announce_freed(&plan->freed_rows);
  ++num_plans;
  in_flight = true;
  return *plan;
}

int32_t Scheduler::Impl::tokens_to_schedule(const Sequence& seq, int32_t budget) const {
  int32_t num = std::min(seq.num_tokens() - seq.num_computed, budget);
  if (config.long_prefill_token_threshold > 0) num = std::min(num, config.long_prefill_token_threshold);
  return num;
}

void Scheduler::Impl::plan_running(StepPlan* plan, int32_t* budget, bool* preempted) {
  for (std::size_t i = 0; i < running.size() && *budget > 0; ++i) {
    Sequence* seq = running[i];
    int32_t num_scheduled = tokens_to_schedule(*seq, *budget);
    PAGODA_CHECK(num_scheduled > 0, "a running sequence has caught up but did not sample");
    while (!kv->reserve(&seq->kv, seq->num_computed, seq->num_computed + num_scheduled)) {
      *preempted = true;
      Sequence* victim = running.back();  // the youngest, so nothing is planned for it yet
      running.pop_back();
      preempt(victim);
      if (victim == seq) return;
    }
    *budget -= num_scheduled;
    schedule(plan, seq, num_scheduled);
  }
}

void Scheduler::Impl::preempt(Sequence* seq) {
  drop_copies(seq);
  kv->release(&seq->kv);
  rows.give_back(seq);
  seq->num_computed = 0;
  seq->state = SequenceState::kWaiting;
  waiting.push_front(seq);
  ++num_preemptions;
}

void Scheduler::Impl::plan_waiting(StepPlan* plan, int32_t* budget, Time now, std::vector<TokenEvent>* out) {
  while (!waiting.empty() && *budget > 0) {
    Sequence* seq = waiting.front();
    // The last token's own K/V is not needed, so a prompt that is to be continued must leave room for one
    // more.
    int32_t num_wanted = seq->num_tokens() + (seq->request->params().max_tokens > 0 ? 1 : 0);
    if (seq->num_output() == 0 && num_wanted > max_len) {
      TokenEvent event = event_of(*seq);
      event.error = "the prompt has " + std::to_string(seq->num_prompt()) +
                    " tokens, but a sequence can have " + std::to_string(max_len) +
                    " at most (max_model_len, or what the KV cache holds)";
      end(seq, FinishReason::kError, now, std::move(event), out);
      if (seq->choice == 0) detach_siblings(seq->request);
      continue;
    }
    if (rows.num_free() == 0 || !admit(plan, seq, budget, now)) return;  // nobody overtakes
  }
}

bool Scheduler::Impl::admit(StepPlan* plan, Sequence* seq, int32_t* budget, Time now) {
  seq->materialize(max_len);
  // All that it has must fit, though only a chunk is taken now: else several half-computed prompts would push
  // each other out again and again.
  if (kv->blocks_needed(seq->num_tokens(), config.max_num_batched_tokens) > kv->num_free()) return false;
  const Request& request = *seq->request->request;
  int32_t num_cached =
      request.read_prefix_cache ? kv->match(&seq->kv, seq->tokens, {request.lora_id, request.cache_salt_hash}) : 0;
  seq->num_computed = num_cached;
  int32_t num_scheduled = tokens_to_schedule(*seq, *budget);
  if (!kv->reserve(&seq->kv, seq->num_computed, seq->num_computed + num_scheduled)) {
    kv->release(&seq->kv);
    seq->num_computed = 0;
    return false;
  }
  waiting.remove(seq);
  seq->state = SequenceState::kRunning;
  if (seq->scheduled == Time{}) seq->scheduled = now;
  rows.take(seq);
  running.push_back(seq);
  write_new_row(plan, seq);
  *budget -= num_scheduled;
  schedule(plan, seq, num_scheduled);
  return true;
}

void Scheduler::Impl::schedule(StepPlan* plan, Sequence* seq, int32_t num_scheduled) {
  int32_t flat_begin = write_work(plan, *seq, num_scheduled);
  kv->announce(&seq->kv, seq->row, &plan->new_blocks, &plan->block_ids);
  const SamplingParams& params = seq->request->params();
  if (seq->choice == 0 && params.num_prompt_logprobs >= 0) {
    write_prompt_samples(plan, *seq, num_scheduled, flat_begin);
  }
  bool caught_up = seq->num_computed + num_scheduled == seq->num_tokens();
  if (!caught_up || params.max_tokens == 0) return;
  int32_t flat_last = flat_begin + num_scheduled - 1;
  write_sample(plan, *seq, flat_last);
  if (seq->choice == 0) sample_siblings(plan, seq, flat_last);
}

void Scheduler::Impl::sample_siblings(StepPlan* plan, Sequence* leader, int32_t flat_index) {
  RequestState* state = leader->request;
  if (state->num_attached == 0) return;
  const Sequence* twin = leader->row_step == plan->step_id ? leader : nullptr;
  for (Sequence& seq : state->choices) {
    if (rows.num_free() == 0) break;
    if (seq.state != SequenceState::kAttached) continue;
    seq.state = SequenceState::kForking;
    --num_attached;
    --state->num_attached;
    seq.materialize(max_len);
    seq.scheduled = leader->scheduled;
    rows.take(&seq);
    write_new_row(plan, &seq, twin);
    twin = &seq;
    write_sample(plan, seq, flat_index);
  }
  detach_siblings(state);  // those without a row
}

void Scheduler::Impl::expire(Time now, std::vector<TokenEvent>* out) {
  earliest_deadline = Time::max();
  for (auto& [id, state] : requests) {
    if (state->request->deadline <= now) {
      end_all(state.get(), FinishReason::kAbort, {}, now, out);
    } else {
      earliest_deadline = std::min(earliest_deadline, state->request->deadline);
    }
  }
  flush_ended();
}

}  // namespace pagoda
