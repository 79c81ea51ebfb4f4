// Scheduler::plan: what the next step computes. Running sequences first, by rank: decodes get their token,
// prompts chunks of what is left; then admission; then the rest goes to prompts that can use it.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "schedule/plan_writer.h"
#include "schedule/scheduler_impl.h"

namespace pagoda {

StepPlan& Scheduler::Impl::plan(Time now, std::vector<TokenEvent>* out) {
  PAGODA_CHECK(num_in_flight() < config.max_in_flight, "too many plans are not committed");
  Flight& flight = flights[num_plans % std::size(flights)];
  StepPlan& plan = flight.plan;
  clear_plan(&plan, num_plans + 1);
  flight.shape = {};
  expire(now, out);
  if (num_in_flight() == 0) must_drain = false;
  if (!must_drain) take_back();
  if (must_drain) return plan;

  release_fetched();
  StepAllotment allotment = allot();
  plan_running(&allotment);
  if (!allotment.short_of_blocks && allotment.may_admit) {
    // One that found no memory to begin leaves its siblings in the queue, which the walk may have passed.
    do {
      lost_waiting = false;
      plan_waiting(&allotment, now, out);
    } while (lost_waiting && running.empty() && !waiting.empty());
  }
  plan_leftover(&allotment);
  for (Sequence* seq : running)
    if (seq->num_scheduled > 0) write_sequence(&flight, seq);
  kv->take_moves(&plan.moves);
  if (plan.empty()) {
    // The first in rank can always take the blocks of all others.
    PAGODA_CHECK(num_in_flight() > 0 || (running.empty() && (waiting.empty() || !admission)),
                 "nothing is planned though something could run");
    return plan;
  }
  write_copies(&plan);
  rows.announce_freed(&plan.freed_rows);
  ++num_plans;
  flight.planned_at = now;
  return plan;
}

Scheduler::Impl::StepAllotment Scheduler::Impl::allot() {
  StepAllotment allotment;
  StepDemand& demand = allotment.demand;
  any_stalled = false;
  for (Sequence* seq : running) {
    seq->stalled = false;
    if (seq->num_remaining() > 1) rematch_prefix(seq);
    if (seq->num_remaining() == 0) continue;
    if (allotment.front == nullptr) allotment.front = seq;
    if (seq->is_decoding()) {
      ++demand.num_decoding;
      demand.decodes.add_decode(seq->num_computed);
      continue;
    }
    ++demand.num_prefilling;
    if (allotment.first == nullptr) allotment.first = seq;
    if (allotment.shortest == nullptr || is_next_short(*seq, *allotment.shortest)) allotment.shortest = seq;
  }
  long_prefill_threshold = config.long_prefill_token_threshold;
  if (const auto num = static_cast<int32_t>(running.size()) + waiting.size();
      config.long_prefill_token_threshold_adaptive && long_prefill_threshold > 0 && num > 0)
    long_prefill_threshold = std::max(long_prefill_threshold, config.max_num_batched_tokens / num);
  const bool can_admit = admission && rows.num_free() > 0 && !waiting.empty();
  if (can_admit) demand.num_prefilling += waiting.size();
  for (const Sequence* seq : {allotment.first, allotment.shortest})
    if (seq != nullptr) demand.prefill_context = std::max<int64_t>(demand.prefill_context, seq->num_computed);
  allotment.decodes = config.max_num_batched_tokens;
  if (demand.num_decoding >= allotment.decodes) {  // no room for prompts, but the first always goes on
    allotment.prefills = allotment.front == allotment.first ? 1 : 0;
    allotment.decodes -= allotment.prefills;
  } else if (demand.num_prefilling > 0) {
    allotment.prefills = budget.prefill_tokens(demand);
  }
  allotment.may_admit = can_admit && budget.has_room_for_more(demand);
  had_no_room = can_admit && !allotment.may_admit;
  allotment.half = allotment.total = allotment.prefills;
  if (allotment.first == nullptr) return allotment;
  if (allotment.may_admit && shorter_waits(*allotment.shortest)) allotment.shortest = nullptr;
  if (allotment.shortest != allotment.first) allotment.half = (allotment.prefills + 1) / 2;
  return allotment;
}

// Of two prompts: that of the tenant that holds less, else the shorter.
bool Scheduler::Impl::is_next_short(const Sequence& a, const Sequence& b) {
  const double seats_a = a.tenant->seats(), seats_b = b.tenant->seats();
  return seats_a != seats_b ? seats_a < seats_b : a.num_remaining() < b.num_remaining();
}

// Whether that is so of one of those that are next to be admitted.
bool Scheduler::Impl::shorter_waits(const Sequence& than) {
  constexpr int kLookAt = 16;
  waiting.begin_walk();
  for (int i = 0; i < kLookAt && waiting.current() != nullptr; ++i, waiting.pass())
    if (is_next_short(*waiting.current(), than)) return true;
  return false;
}

// Others may have computed, since it was admitted, what this prompt would compute next.
void Scheduler::Impl::rematch_prefix(Sequence* seq) {
  if (!seq->request->request->read_prefix_cache || seq->num_computed % kv->block_size() != 0) return;
  const int32_t found = kv->match(&seq->kv, seq->tokens(), seq->scope());
  if (found <= seq->num_computed) return;
  // After a preemption: what it had once before counts as it did then.
  const int32_t num_prompt_found = std::min(found, seq->num_prompt()) -
                                   std::max({seq->num_computed, seq->num_computed_ever, seq->num_matched});
  if (seq->num_output() == 0 && num_prompt_found > 0) {
    seq->num_cached += num_prompt_found;
    prefix_hits += static_cast<uint64_t>(num_prompt_found);
  }
  seq->num_computed = found;
  seq->num_matched = std::max(seq->num_matched, found);
}

// The next tokens of a prompt, at most `limit` of them. A chunk that is not the last, or leaves a recurrent
// state, ends with a block: a sequence that shares the prompt goes on from there.
int32_t Scheduler::Impl::chunk(const Sequence& seq, int64_t limit) const {
  const int32_t begin = seq.num_computed + seq.num_scheduled;
  const int32_t remaining = seq.num_remaining() - seq.num_scheduled;
  if (!config.enable_chunked_prefill) return remaining <= limit ? remaining : 0;
  if (long_prefill_threshold > 0)
    limit = std::min<int64_t>(limit, long_prefill_threshold - seq.num_scheduled);
  if (limit <= 0) return 0;
  if (limit >= remaining && !kv->has_states()) return remaining;
  limit = std::min<int64_t>(limit, remaining);
  const auto beyond = static_cast<int32_t>((begin + limit) % kv->block_size());
  if (limit > beyond) return static_cast<int32_t>(limit - beyond);
  // Nor does a step go on from where it has left a state.
  const bool goes_on = kv->has_states() && seq.num_scheduled > 0 && begin % kv->block_size() == 0;
  return goes_on ? 0 : static_cast<int32_t>(limit);
}

void Scheduler::Impl::plan_running(StepAllotment* allotment) {
  for (std::size_t i = 0; i < running.size(); ++i) {
    Sequence* seq = running[i];
    const bool decodes = seq->is_decoding() && seq != allotment->first && seq != allotment->shortest;
    int64_t limit = decodes ? std::min<int64_t>(allotment->decodes, 1) : 0;
    if (seq == allotment->first)
      limit = std::min(allotment->half, allotment->prefills);
    else if (seq == allotment->shortest)
      limit = allotment->prefills - (allotment->first->num_scheduled == 0 ? allotment->half : 0);
    const int32_t num = limit <= 0 ? 0 : decodes ? 1 : chunk(*seq, limit);
    if (num == 0) continue;
    if (!make_room(seq, num, i, allotment)) {  // it keeps its blocks and waits
      if (must_drain) return;                  // for the plan that may preempt others
      seq->stalled = any_stalled = true;
      continue;
    }
    (decodes ? allotment->decodes : allotment->prefills) -= num;
  }
}

// What no sequence had a claim to: by rank, without preempting any.
void Scheduler::Impl::plan_leftover(StepAllotment* allotment) {
  for (Sequence* seq : running) {
    if (allotment->prefills <= 0 || must_drain) return;
    if (seq->is_decoding() || seq->num_scheduled == seq->num_remaining()) continue;
    const int32_t num = chunk(*seq, allotment->prefills);
    if (num <= 0 || !schedule(seq, num)) continue;
    allotment->prefills -= num;
  }
}

// Reserves the blocks; those behind in rank for which nothing is planned yet give theirs up where too few
// are free. False: even so there are too few.
bool Scheduler::Impl::make_room(Sequence* seq, int32_t num_scheduled, std::size_t place,
                                StepAllotment* allotment) {
  while (!schedule(seq, num_scheduled)) {
    allotment->short_of_blocks = true;
    const int64_t missing =
        kv->blocks_needed(seq->num_computed + num_scheduled, config.max_num_batched_tokens) -
        kv->num_held(seq->kv) - kv->num_free();
    Sequence* victim = cheapest_victim(place, seq == allotment->front, static_cast<int32_t>(missing));
    if (victim == nullptr || !may_preempt()) return false;
    preempt(victim);
    last_preemption = num_plans + 1;
  }
  return true;
}

bool Scheduler::Impl::schedule(Sequence* seq, int32_t num_more) {
  const int32_t end = seq->num_computed + seq->num_scheduled + num_more;
  if (!kv->reserve(&seq->kv, seq->num_computed, end)) return false;
  kv->cache_blocks(&seq->kv, seq->tokens(), seq->num_computed, std::min(end, seq->num_tokens()),
                   seq->scope());
  seq->num_scheduled += num_more;
  return true;
}

// Of those behind `place`: under the priority policy of the lowest priority, else under the fair one of the
// tenant served most, under others of the one that holds most; but for the sake of the first in rank, never
// of one that holds less than the tenant that wants them. Among these one that frees enough with the least to
// compute again, else the one that frees most (perhaps nothing: blocks that two share are free when both have
// gone), then the last.
Sequence* Scheduler::Impl::cheapest_victim(std::size_t place, bool is_front, int32_t num_missing) {
  struct Cost {
    int64_t priority;  // as a cost: the lower, the better to take
    double greed;
    bool too_little;
    int32_t work;
    auto operator<=>(const Cost&) const = default;
  };
  Sequence* best = nullptr;
  Cost best_cost{};
  const TenantShare* taker = running[place]->tenant;
  const bool is_fair = config.policy == SchedulingPolicy::kFair, contested = waiting.is_contested();
  if (contested) count_blocks();
  for (std::size_t i = running.size(); i-- > place + 1;) {
    Sequence* seq = running[i];
    if (seq->num_scheduled > 0) continue;
    const TenantShare* tenant = seq->tenant;
    if (contested && !is_front && tenant != taker && tenant->blocks() < taker->blocks()) continue;
    const double greed = is_fair ? tenant->served : contested ? tenant->blocks() : 0;
    const int32_t num_freed = kv->num_exclusive(seq->kv);
    const bool too_little = num_freed < num_missing;
    const Cost cost{-seq->rank.priority, -greed, too_little, too_little ? -num_freed : seq->num_computed};
    if (best != nullptr && !(cost < best_cost)) continue;
    best = seq;
    best_cost = cost;
  }
  return best;
}

// A plan in flight uses the blocks that preemption frees, and samples what it would drop: it waits until
// nothing is in flight.
bool Scheduler::Impl::may_preempt() {
  must_drain = num_in_flight() > 0;
  return !must_drain;
}

// Its full blocks stay findable until they are needed: it may get them back.
void Scheduler::Impl::preempt(Sequence* seq) {
  PAGODA_CHECK(seq->num_output_placeholders == 0, "a sequence is preempted with nothing in flight");
  drop_copies(seq);
  kv->release(&seq->kv);
  running.erase(std::find(running.begin(), running.end(), seq));
  seq->num_computed = seq->num_scheduled = 0;
  wait_again(seq);
  ++num_preemptions;
  ++seq->num_preemptions;
}

void Scheduler::Impl::preempt_all() {
  while (!running.empty()) preempt(running.back());
}

void Scheduler::Impl::write_sequence(Flight* flight, Sequence* seq) {
  StepPlan* plan = &flight->plan;
  if (!seq->row_announced) write_new_row(plan, seq);
  const int32_t flat_begin = write_work(plan, *seq, seq->num_scheduled);
  kv->append_new_blocks(&seq->kv, seq->row, &plan->new_blocks, &plan->block_ids);
  if (seq->is_decoding())
    flight->shape.add_decode(seq->num_computed);
  else
    flight->shape.add_prefill(seq->num_computed, seq->num_scheduled);
  const SamplingParams& params = seq->request->params();
  if (seq->choice == 0 && params.num_prompt_logprobs >= 0)
    write_prompt_samples(plan, *seq, seq->num_scheduled, flat_begin);
  const int32_t flat_last = flat_begin + seq->num_scheduled - 1;
  const bool caught_up = seq->num_scheduled == seq->num_remaining();
  seq->num_computed += std::exchange(seq->num_scheduled, 0);
  seq->last_step = plan->step_id;
  if (!caught_up || params.max_tokens == 0) return;
  write_sample(plan, seq, flat_last);
  if (seq->choice == 0) sample_siblings(plan, seq, flat_last);
}

void Scheduler::Impl::sample_siblings(StepPlan* plan, Sequence* leader, int32_t flat_index) {
  RequestState* state = leader->request;
  if (state->num_attached == 0) return;
  const Sequence* same_tokens_as = leader->row_step == plan->step_id ? leader : nullptr;
  for (Sequence& seq : state->choices) {
    if (rows.num_free() == 0 || must_hold_back(*seq.tenant)) break;
    if (seq.state != SequenceState::kAttached) continue;
    if (!reserve_output(&seq)) break;  // it comes in again by itself, and is refused if nothing has changed
    seq.state = SequenceState::kForking;
    --num_attached;
    --state->num_attached;
    seq.timings.scheduled = leader->timings.scheduled;
    start_running(&seq);
    write_new_row(plan, &seq, same_tokens_as);
    same_tokens_as = &seq;
    write_sample(plan, &seq, flat_index);
    must_drain = true;  // what it forks from may not go on: a recurrent state would be overwritten
  }
  detach_siblings(state);  // those without a row
}

void Scheduler::Impl::write_copies(StepPlan* plan) {
  for (const PendingCopy& pending : pending_copies) {
    plan->copies.push_back(pending.copy);
    pending.seq->last_step = plan->step_id;
  }
  pending_copies.clear();
}

void Scheduler::Impl::expire(Time now, std::vector<TokenEvent>* out) {
  while (!deadlines.empty() && deadlines.front().first <= now) {
    auto it = requests.find(deadlines.front().second);
    if (it != requests.end()) end_all(it->second.get(), FinishReason::kTimeout, {}, now, out);
    std::pop_heap(deadlines.begin(), deadlines.end(), std::greater<>());
    deadlines.pop_back();
  }
  flush_ended();
}

}  // namespace pagoda
