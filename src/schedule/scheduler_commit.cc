// Scheduler::commit: what a step has computed becomes tokens, events, forks and ends.
#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/memory_reserve.h"
#include "schedule/scheduler_impl.h"

namespace pagoda {
namespace {

double seconds(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}

// Sample i of the result becomes the next entry.
void append_row(TokenRows* rows, const StepResult& result, std::size_t i) {
  rows->token.push_back(result.token[i]);
  rows->logprob.push_back(result.logprob[i]);
  rows->rank.push_back(result.rank[i]);
  if (rows->top_begin.empty()) rows->top_begin.push_back(0);
  if (!result.top_begin.empty()) {
    rows->top.insert(rows->top.end(), result.top.begin() + result.top_begin[i],
                     result.top.begin() + result.top_begin[i + 1]);
  }
  rows->top_begin.push_back(static_cast<int32_t>(rows->top.size()));
}

}  // namespace

void Scheduler::Impl::commit(const StepPlan& plan, const StepResult& result, Time now,
                             std::vector<TokenEvent>* out) {
  PAGODA_CHECK(num_in_flight() > 0 && plan.step_id == num_committed + 1 && result.step_id == plan.step_id,
               "not the oldest plan in flight");
  std::size_t num_samples = plan.samples.size();
  PAGODA_CHECK(result.token.size() == num_samples && result.logprob.size() == num_samples &&
                   result.rank.size() == num_samples && result.bad.size() == num_samples,
               "a result has one entry per sample");
  const Flight& flight = flights[num_committed % std::size(flights)];
  ++num_committed;
  kv->add_offload_time(result.offload_store_s, result.offload_load_s);
  // A step begins when it is planned or, if that is later, when the one before it ends.
  budget.observe(flight.shape, 1000 * seconds(std::max(flight.planned_at, committed_at), now));
  committed_at = now;
  step_stats.num_prompt_tokens = step_stats.num_prompt_cached = step_stats.num_generated_tokens = 0;
  step_stats.num_recomputed_tokens = step_stats.num_bad = step_stats.num_prompt_external = 0;
  step_stats.num_computed_tokens = plan.num_tokens;
  step_stats.first_token_s.clear();
  step_stats.inter_token_s.clear();
  release_retired(!result.no_memory && plan.step_id > lost_until);
  if (plan.step_id <= lost_until) return recompute_all(plan);

  for (const RowWork& work : plan.work) {
    Sequence* seq = owner(plan, work.row);
    if (seq == nullptr) continue;  // ended while the plan was in flight
    const int32_t end = work.num_computed_tokens + work.num_scheduled_tokens;
    step_stats.num_recomputed_tokens +=
        std::max(std::min(end, seq->num_computed_ever) - work.num_computed_tokens, 0);
    seq->num_computed_ever = std::max(end, seq->num_computed_ever);
  }
  if (result.no_memory) lose_work(plan, now, out);
  for (std::size_t sample = 0; sample < num_samples;) sample = commit_samples(plan, result, sample, now, out);
  // Prompts that were only to be computed, and asked for nothing in this step.
  for (const RowWork& work : plan.work) {
    Sequence* seq = owner(plan, work.row);
    if (seq == nullptr || seq->request->params().max_tokens > 0) continue;
    if (seq->num_computed_ever < seq->num_tokens()) continue;
    count_prompt(seq, false);
    end_all(seq->request, FinishReason::kLength, {}, now, out);
  }
  flush_ended();
  // A plan that came to nothing may have found, for what runs on, blocks that the lost step was to write.
  if (result.no_memory && num_in_flight() == 0) preempt_all();
}

// The sequence that had the row in this plan; null: it has ended since.
Sequence* Scheduler::Impl::owner(const StepPlan& plan, int32_t row) const {
  Sequence* seq = rows.owner(row);
  return seq != nullptr && seq->row_step <= plan.step_id ? seq : nullptr;
}

// Blocks of ended sequences that the plans in flight do not use. Not computed: what the cache is said to hold
// of them is not there.
void Scheduler::Impl::release_retired(bool were_computed) {
  for (Retired& one : retired) {
    if (!were_computed) kv->uncache(one.kv);
    if (one.last_step <= num_committed) kv->release(&one.kv);
  }
  std::erase_if(retired, [&](const Retired& one) { return one.last_step <= num_committed; });
}

// There was no memory to compute anything: what the cache is said to hold of it is not there, and what was
// planned behind it may have read that.
void Scheduler::Impl::lose_work(const StepPlan& plan, Time now, std::vector<TokenEvent>* out) {
  for (const RowWork& work : plan.work)
    if (const Sequence* seq = owner(plan, work.row)) kv->uncache(seq->kv);
  for (const RowWork& work : plan.work)
    if (Sequence* seq = owner(plan, work.row))
      end_all(seq->request, FinishReason::kError, {}, now, out, true);
  must_drain = num_in_flight() > 0;
  lost_until = num_plans;
}

// The plan has run behind a lost one and may have read what that did not write: what it has computed itself
// is not there either. None of what runs goes on, since it may share blocks that were lost.
void Scheduler::Impl::recompute_all(const StepPlan& plan) {
  for (const RowWork& work : plan.work)
    if (const Sequence* seq = owner(plan, work.row)) kv->uncache(seq->kv);
  for (const SampleWork& sample : plan.samples) {
    Sequence* seq = owner(plan, sample.row);
    if (seq == nullptr) continue;
    seq->num_output_placeholders = 0;
    if (seq->state == SequenceState::kForking) wait_again(seq);
  }
  preempt_all();
}

// Settles the samples of one choice, which lie together: log-probabilities of its prompt, then its token.
// Returns the index after them.
std::size_t Scheduler::Impl::commit_samples(const StepPlan& plan, const StepResult& result,
                                            std::size_t sample, Time now, std::vector<TokenEvent>* out) {
  std::size_t end_sample = sample;
  while (end_sample < plan.samples.size() && plan.samples[end_sample].row == plan.samples[sample].row)
    ++end_sample;
  Sequence* seq = owner(plan, plan.samples[sample].row);
  if (seq == nullptr) return end_sample;  // ended while the plan was in flight
  if (plan.samples[end_sample - 1].kind == SampleKind::kSample) --seq->num_output_placeholders;

  const SamplingParams& params = seq->request->params();
  TokenEvent event = event_of(*seq);
  const SampleFault fault = take_samples(seq, plan, result, {sample, end_sample}, now, &event);
  if (fault == kNoMemory) {
    end_all(seq->request, FinishReason::kError, {}, now, out, true);
    return end_sample;
  }
  const bool bad = fault == kLogitsNotFinite, nothing_allowed = fault == kNothingAllowed;

  event.counts.num_output = seq->num_output();
  event.timings = seq->timings;
  StopVerdict verdict = check_stop(*seq, max_len);
  if (bad) {
    verdict = {FinishReason::kError};
    event.error = "no token could be sampled: the logits are not finite";
    ++step_stats.num_bad;
    kv->uncache(seq->kv);
  } else if (nothing_allowed) {  // the request wants no token that there is: its answer is complete
    if (seq->num_output() == 0) count_prompt(seq, seq->state == SequenceState::kForking);
    verdict = {FinishReason::kStop};
  }
  event.stop_token = verdict.stop_token;
  if (verdict.finish != FinishReason::kNone) {
    if (params.max_tokens == 0 && !bad) count_prompt(seq, false);
    end(seq, verdict.finish, now, std::move(event), out);
    if (params.max_tokens == 0 && !bad) {
      end_all(seq->request, verdict.finish, {}, now, out);
    } else if (seq->choice == 0) {
      detach_siblings(seq->request);
    }
    return end_sample;
  }
  out->push_back(std::move(event));
  if (seq->state == SequenceState::kForking) fork_from_leader(seq);
  // A block that a plan in flight completes can be found once its last token is known.
  if (seq->num_computed >= seq->num_tokens())
    kv->cache_blocks(&seq->kv, seq->tokens(), seq->num_computed, seq->num_tokens(), seq->scope());
  return end_sample;
}

// What the step has for one choice, up to the first fault. kNoMemory: there was none for its event either,
// and nothing is taken.
SampleFault Scheduler::Impl::take_samples(Sequence* seq, const StepPlan& plan, const StepResult& result,
                                          Range samples, Time now, TokenEvent* event) {
  auto [begin, end] = samples;
  const auto first_bad = std::find_if(result.bad.begin() + static_cast<std::ptrdiff_t>(begin),
                                      result.bad.begin() + static_cast<std::ptrdiff_t>(end),
                                      [](uint8_t bad) { return bad != kNoFault; });
  const auto good_end = static_cast<std::size_t>(first_bad - result.bad.begin());
  const auto fault = good_end < end ? static_cast<SampleFault>(*first_bad) : kNoFault;
  if (fault == kNoMemory) return fault;
  auto is_prompt = [&](std::size_t i) { return plan.samples[i].kind == SampleKind::kPromptLogprobs; };
  try {
    const KeepOffReserve large;
    if (begin < good_end && is_prompt(begin) && !result.top_begin.empty())
      event->prompt.top.reserve(
          static_cast<std::size_t>(result.top_begin[good_end] - result.top_begin[begin]));
    for (std::size_t i = begin; i < good_end; ++i) {
      if (is_prompt(i))
        append_row(&event->prompt, result, i);
      else if (seq->request->params().num_logprobs >= 0)
        append_row(&event->out, result, i);
      else
        event->out.token.push_back(result.token[i]);
    }
  } catch (const std::bad_alloc&) {
    return kNoMemory;
  }
  for (std::size_t i = begin; i < good_end; ++i) {
    if (is_prompt(i))
      ++seq->num_prompt_reported;
    else
      take_token(seq, result.token[i], now);
  }
  return fault;
}

void Scheduler::Impl::take_token(Sequence* seq, TokenId token, Time now) {
  if (seq->num_output() == 0) {
    count_prompt(seq, seq->state == SequenceState::kForking);
    step_stats.first_token_s.push_back(seconds(seq->timings.arrival, now));
    seq->timings.first_token = now;
  } else {
    step_stats.inter_token_s.push_back(seconds(seq->timings.last_token, now));
  }
  seq->timings.last_token = now;
  ++step_stats.num_generated_tokens;
  waiting.charge(seq, 0, 1);
  seq->output.push_back(token);
}

void Scheduler::Impl::count_prompt(Sequence* seq, bool shared) {
  step_stats.num_prompt_tokens += seq->num_prompt();
  step_stats.num_prompt_cached += shared ? seq->num_prompt() : seq->num_cached;
  step_stats.num_prompt_external += shared ? 0 : seq->num_external;
}

// Its row is given back; it has no blocks.
void Scheduler::Impl::wait_again(Sequence* seq) {
  give_row_back(seq);
  seq->state = SequenceState::kWaiting;
  waiting.insert(seq);
}

// Choice 0 may have ended with this very step: its blocks are still its own until flush_ended(). No plan in
// flight has gone on behind the prompt: its recurrent state is still there to be shared, or copied.
void Scheduler::Impl::fork_from_leader(Sequence* seq) {
  Sequence* leader = &seq->request->choices[0];
  std::vector<BlockCopy> copies;
  PAGODA_CHECK(leader->num_computed == seq->num_prompt(), "choice 0 has gone on before its choices forked");
  if (!kv->fork(leader->kv, seq->num_prompt(), &seq->kv, &copies)) {
    wait_again(seq);
    return;
  }
  for (const BlockCopy& copy : copies) pending_copies.push_back({seq, copy});
  seq->num_computed = seq->num_computed_ever = seq->num_prompt();
  seq->state = SequenceState::kRunning;
  insert_running(seq);
}

}  // namespace pagoda
