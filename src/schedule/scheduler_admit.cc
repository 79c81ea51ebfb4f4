// Scheduler::plan, admission. A sequence that does not fit is bypassed by those behind it; how often is
// bounded, then none bypasses it any more and the running ones make room by ending.
#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/memory_reserve.h"
#include "schedule/scheduler_impl.h"

namespace pagoda {

void Scheduler::Impl::plan_waiting(StepAllotment* allotment, Time now, std::vector<TokenEvent>* out) {
  constexpr std::size_t kMostPassed = 256;  // per step: looking costs time
  passed.clear();
  num_promised = blocks_promised();
  waiting.begin_walk();
  while (Sequence* seq = waiting.current()) {
    if (allotment->prefills <= 0 || rows.num_free() == 0 || passed.size() == kMostPassed) return;
    if (must_hold_back(*seq->tenant)) {
      // Under fair those after it have been served more: the seat is not theirs either.
      if (config.policy == SchedulingPolicy::kFair) return;
      waiting.pass_tenant();
      continue;
    }
    const Verdict verdict = admit(seq, allotment, now);
    if (verdict == Verdict::kAdmitted) {
      start_running(seq);
      waiting.take();
      insert_running(seq);
      for (Sequence* other : passed) ++other->num_bypassed;
    } else {
      waiting.pass();
      if (verdict == Verdict::kNoMemory) {
        fail_waiting(seq, now, out);
        continue;
      }
      if (verdict == Verdict::kNotReady) {
        waiting.remove(seq);
        hold(seq, kHoldKvLoad);
        continue;
      }
      passed.push_back(seq);
    }
    const bool at_bypass_limit = std::any_of(passed.begin(), passed.end(), [&](const Sequence* other) {
      return other->num_bypassed >= config.max_overtakes;
    });
    if (at_bypass_limit) return;
  }
}

// Sequences whose blocks have come from disk wait for a row again, in their old places.
void Scheduler::Impl::release_fetched() {
  for (Sequence *seq = held.front(), *next = nullptr; seq != nullptr; seq = next) {
    next = seq->next;
    if ((seq->holds & kHoldKvLoad) != 0 && !kv->is_fetching(seq->kv)) release(seq, kHoldKvLoad);
  }
}

void Scheduler::Impl::hold(Sequence* seq, uint8_t holds) {
  seq->holds |= holds;
  seq->state = SequenceState::kHeld;
  held.push_back(seq);
}

void Scheduler::Impl::release(Sequence* seq, Hold hold) {
  seq->holds = static_cast<uint8_t>(seq->holds & ~hold);
  if (seq->holds != kHoldNone || seq->state != SequenceState::kHeld) return;
  held.remove(seq);
  seq->state = SequenceState::kWaiting;
  waiting.insert(seq);
}

// One choice; the reader of the request ends the rest of it.
void Scheduler::Impl::fail_waiting(Sequence* seq, Time now, std::vector<TokenEvent>* out) {
  TokenEvent event = event_of(*seq);
  event.no_memory = true;
  RequestState* state = seq->request;
  end(seq, FinishReason::kError, now, std::move(event), out);
  if (seq->choice == 0) detach_siblings(state);
  flush_ended();
  lost_waiting = true;
}

bool Scheduler::Impl::reserve_output(Sequence* seq) const {
  const KeepOffReserve large;
  try {
    seq->reserve_output(max_len, kv->block_size(), num_groups);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

Scheduler::Impl::Verdict Scheduler::Impl::admit(Sequence* seq, StepAllotment* allotment, Time now) {
  if (const Verdict verdict = take_cached(seq); verdict != Verdict::kAdmitted) return verdict;
  seq->num_matched = std::max(seq->num_matched, seq->num_computed);
  size_for_context(allotment, seq->num_computed);
  const int32_t num_scheduled = chunk(*seq, allotment->prefills);
  if (num_scheduled == 0 || !schedule(seq, num_scheduled)) {  // a prompt in one piece needs more of a step
    kv->release(&seq->kv);
    seq->num_computed = 0;
    return Verdict::kDoesNotFit;
  }
  allotment->prefills -= num_scheduled;
  num_promised += kv->blocks_needed(seq->num_tokens(), config.max_num_batched_tokens) - kv->num_held(seq->kv);
  if (seq->timings.scheduled == Time{}) {
    seq->timings.scheduled = now;
    seq->num_cached = std::min(seq->num_computed, seq->num_prompt());
    prefix_queries += static_cast<uint64_t>(seq->num_prompt());
    prefix_hits += static_cast<uint64_t>(seq->num_cached - seq->num_external);
    ++prefix_requests;
    waiting.charge(seq, seq->num_prompt() - seq->num_cached, 0);
  }
  return Verdict::kAdmitted;
}

// A prompt whose beginning was found attends to all of it: fewer of its tokens fit the step than of one that
// begins.
void Scheduler::Impl::size_for_context(StepAllotment* allotment, int32_t num_computed) const {
  if (!config.adaptive_chunks || num_computed <= allotment->demand.prefill_context) return;
  allotment->demand.prefill_context = num_computed;
  const int64_t given = allotment->total - allotment->prefills;
  const int64_t total = std::max<int64_t>(budget.prefill_tokens(allotment->demand), given + 1);
  allotment->total = std::min(allotment->total, total);
  allotment->prefills = allotment->total - given;
}

// Takes what the cache and the offload memory hold of it. All that it has must fit beside what the running
// have, though only a chunk is computed now: else several half-computed prompts would push each other out
// again and again. What will be generated is over-committed.
Scheduler::Impl::Verdict Scheduler::Impl::take_cached(Sequence* seq) {
  constexpr uint64_t kTryAgainAfter = 32;  // steps; in between the cache can only have learnt a little
  const int64_t available = kv->num_free() - num_promised - blocks_reserved();
  if (seq->blocks_wanted > available && num_plans < seq->tried_step + kTryAgainAfter)
    return Verdict::kDoesNotFit;
  if (!reserve_output(seq)) return Verdict::kNoMemory;
  const bool reads = seq->request->request->read_prefix_cache;
  if (reads && kv->has_offload() && kv->start_fetch(&seq->kv, seq->tokens(), seq->scope()))
    return Verdict::kNotReady;
  const int32_t num_free_before = kv->num_free();
  if (reads) seq->num_computed = kv->match(&seq->kv, seq->tokens(), seq->scope());
  const int64_t taken = num_free_before - kv->num_free();  // free blocks that the match has made its own
  const int64_t wanted =
      taken + kv->blocks_needed(seq->num_tokens(), config.max_num_batched_tokens) - kv->num_held(seq->kv);
  seq->tried_step = num_plans;
  seq->blocks_wanted = wanted <= available ? 0 : static_cast<int32_t>(wanted);
  if (wanted > available) {
    kv->release(&seq->kv);
    seq->num_computed = 0;
    return Verdict::kDoesNotFit;
  }
  if (reads && kv->has_offload()) {
    const int32_t num_matched = seq->num_computed;
    seq->num_computed = kv->load_offloaded(&seq->kv, seq->tokens(), seq->scope());
    if (seq->timings.scheduled == Time{}) seq->num_external = seq->num_computed - num_matched;
  }
  return Verdict::kAdmitted;
}

// Blocks that running sequences will need for the tokens that they have already.
int64_t Scheduler::Impl::blocks_promised() const {
  int64_t promised = 0;
  for (const Sequence* seq : running) {
    if (seq->num_scheduled >= seq->num_remaining()) continue;
    promised += std::max<int64_t>(
        kv->blocks_needed(seq->num_planned_tokens(), config.max_num_batched_tokens) - kv->num_held(seq->kv),
        0);
  }
  return promised;
}

// Free blocks that admission leaves alone while any sequence runs: the watermark, and for a while after a
// preemption one for each that runs, so that none is admitted only to preempt another.
int64_t Scheduler::Impl::blocks_reserved() const {
  if (running.empty()) return 0;
  constexpr uint64_t kCalmSteps = 64;
  auto reserved = static_cast<int64_t>(config.watermark * kv->num_blocks());
  if (last_preemption > 0 && num_plans < last_preemption + kCalmSteps)
    reserved += static_cast<int64_t>(running.size());
  return reserved;
}

}  // namespace pagoda
