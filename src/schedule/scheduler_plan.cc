// Scheduler::plan: what the next step computes. Those who run first, by rank: who decodes gets its token,
// prompts get chunks of what is left; then the waiting are let in; then the rest goes to whoever can use it.
#include <algorithm>

#include "base/check.h"
#include "schedule/plan_writer.h"
#include "schedule/scheduler_impl.h"

namespace pagoda {

StepPlan& Scheduler::Impl::plan(Time now, std::vector<TokenEvent>* out) {
  PAGODA_CHECK(!in_flight, "the plan before is not committed");
  StepPlan* plan = &plans[num_plans % 2];
  clear_plan(plan, num_plans + 1);
  expire(now, out);

  release_fetched();
  take_back();
  Shares shares = share_out();
  plan_running(&shares);
  if (!shares.short_of_blocks && shares.may_admit) {
    // One that found no memory to begin leaves its siblings in the line, whom the walk may have passed.
    do {
      lost_waiting = false;
      plan_waiting(&shares, now, out);
    } while (lost_waiting && running.empty() && !waiting.empty());
  }
  plan_rest(&shares);
  write_plan(plan);
  kv->take_moves(&plan->moves);
  if (plan->empty()) {
    // The first in rank can always take the blocks of all others.
    PAGODA_CHECK(running.empty() && (waiting.empty() || !admission),
                 "nothing is planned though something could run");
    return *plan;
  }
  rows.announce_freed(&plan->freed_rows);
  ++num_plans;
  in_flight = true;
  planned_at = now;
  return *plan;
}

Scheduler::Impl::Shares Scheduler::Impl::share_out() {
  Shares shares;
  StepDemand& demand = shares.demand;
  for (Sequence* seq : running) {
    seq->num_scheduled = 0;
    if (!seq->is_decoding()) catch_up(seq);
    if (seq->is_decoding()) {
      ++demand.num_decoding;
      demand.decodes.add_decode(seq->num_computed);
      continue;
    }
    ++demand.num_prefilling;
    if (shares.first == nullptr) shares.first = seq;
    if (shares.shortest == nullptr || is_next_short(*seq, *shares.shortest)) shares.shortest = seq;
  }
  long_prefill_threshold = config.long_prefill_token_threshold;
  if (const auto num = static_cast<int32_t>(running.size()) + waiting.size();
      config.long_prefill_token_threshold_adaptive && long_prefill_threshold > 0 && num > 0)
    long_prefill_threshold = std::max(long_prefill_threshold, config.max_num_batched_tokens / num);
  const bool can_admit = admission && rows.num_free() > 0 && !waiting.empty();
  if (can_admit) demand.num_prefilling += waiting.size();
  for (const Sequence* seq : {shares.first, shares.shortest})
    if (seq != nullptr) demand.prefill_context = std::max<int64_t>(demand.prefill_context, seq->num_computed);
  shares.decodes = config.max_num_batched_tokens;
  if (demand.num_decoding >= shares.decodes) {  // no room for prompts, but the first in rank always goes on
    shares.prefills = !running.empty() && running.front() == shares.first ? 1 : 0;
    shares.decodes -= shares.prefills;
  } else if (demand.num_prefilling > 0) {
    shares.prefills = budget.prefill_tokens(demand);
  }
  shares.may_admit = can_admit && budget.has_room_for_more(demand);
  had_no_room = can_admit && !shares.may_admit;
  shares.half = shares.total = shares.prefills;
  if (shares.first == nullptr) return shares;
  if (shares.may_admit && shorter_waits(*shares.shortest)) shares.shortest = nullptr;
  if (shares.shortest != shares.first) shares.half = (shares.prefills + 1) / 2;
  return shares;
}

// Of two prompts: that of the client that holds less, else the shorter.
bool Scheduler::Impl::is_next_short(const Sequence& a, const Sequence& b) {
  const double seats_a = a.client->seats(), seats_b = b.client->seats();
  return seats_a != seats_b ? seats_a < seats_b : a.num_remaining() < b.num_remaining();
}

// Whether that is so of one of those who are next to be let in.
bool Scheduler::Impl::shorter_waits(const Sequence& than) {
  constexpr int kLookAt = 16;
  waiting.begin_walk();
  for (int i = 0; i < kLookAt && waiting.current() != nullptr; ++i, waiting.pass())
    if (is_next_short(*waiting.current(), than)) return true;
  return false;
}

// Others may have computed, since it was admitted, what this prompt would compute next.
void Scheduler::Impl::catch_up(Sequence* seq) {
  if (!seq->request->request->read_prefix_cache || seq->num_computed % kv->block_size() != 0) return;
  const int32_t found = kv->match(&seq->kv, seq->tokens(), seq->scope());
  if (found <= seq->num_computed) return;
  // After a preemption: what it had once before counts as it did then.
  const int32_t num_prompt_found =
      std::min(found, seq->num_prompt()) - std::max(seq->num_computed, seq->num_computed_ever);
  if (seq->num_output() == 0 && num_prompt_found > 0) {
    seq->num_cached += num_prompt_found;
    prefix_hits += static_cast<uint64_t>(num_prompt_found);
  }
  seq->num_computed = found;
}

// The next tokens of a prompt, at most `limit` of them. A chunk that is not the last ends with a block:
// whoever shares the prompt goes on from there.
int32_t Scheduler::Impl::chunk(const Sequence& seq, int64_t limit) const {
  const int32_t begin = seq.num_computed + seq.num_scheduled;
  const int32_t remaining = seq.num_tokens() - begin;
  if (!config.enable_chunked_prefill) return remaining <= limit ? remaining : 0;
  if (long_prefill_threshold > 0)
    limit = std::min<int64_t>(limit, long_prefill_threshold - seq.num_scheduled);
  if (limit <= 0 || limit >= remaining) return limit <= 0 ? 0 : remaining;
  const auto beyond = static_cast<int32_t>((begin + limit) % kv->block_size());
  return static_cast<int32_t>(limit > beyond ? limit - beyond : limit);
}

void Scheduler::Impl::plan_running(Shares* shares) {
  for (std::size_t i = 0; i < running.size(); ++i) {
    Sequence* seq = running[i];
    const bool decodes = seq->is_decoding() && seq != shares->first && seq != shares->shortest;
    int64_t limit = decodes ? std::min<int64_t>(shares->decodes, 1) : 0;
    if (seq == shares->first)
      limit = std::min(shares->half, shares->prefills);
    else if (seq == shares->shortest)
      limit = shares->prefills - (shares->first->num_scheduled == 0 ? shares->half : 0);
    const int32_t num = limit <= 0 ? 0 : decodes ? 1 : chunk(*seq, limit);
    if (num == 0) continue;
    if (!make_room(seq, num, i, &shares->short_of_blocks)) {  // it keeps its blocks and waits
      seq->stalled = any_stalled = true;
      continue;
    }
    (decodes ? shares->decodes : shares->prefills) -= num;
  }
}

// What nobody had a claim to: by rank, without taking anything from anyone.
void Scheduler::Impl::plan_rest(Shares* shares) {
  for (Sequence* seq : running) {
    if (shares->prefills <= 0) return;
    if (seq->is_decoding() || seq->num_scheduled == seq->num_remaining()) continue;
    const int32_t num = chunk(*seq, shares->prefills);
    if (num <= 0 || !schedule(seq, num)) continue;
    shares->prefills -= num;
  }
}

// Reserves the blocks; those behind in rank, for whom nothing is planned yet, give theirs up where too few
// are free. False: even so there are too few.
bool Scheduler::Impl::make_room(Sequence* seq, int32_t num_scheduled, std::size_t place,
                                bool* short_of_blocks) {
  while (!schedule(seq, num_scheduled)) {
    *short_of_blocks = true;
    const int64_t missing =
        kv->blocks_needed(seq->num_computed + num_scheduled, config.max_num_batched_tokens) -
        kv->num_held(seq->kv) - kv->num_free();
    Sequence* victim = cheapest_victim(place, static_cast<int32_t>(missing));
    if (victim == nullptr) return false;
    preempt(victim);
    last_preemption = num_plans + 1;
  }
  return true;
}

bool Scheduler::Impl::schedule(Sequence* seq, int32_t num_more) {
  const int32_t end = seq->num_computed + seq->num_scheduled + num_more;
  if (!kv->reserve(&seq->kv, seq->num_computed, end)) return false;
  kv->cache_blocks(&seq->kv, seq->tokens(), seq->num_computed, end, seq->scope());
  seq->num_scheduled += num_more;
  return true;
}

// Of those behind `place`: under the priority policy of the lowest priority, else under the fair one of the
// client served most, under others of the one that holds most; but for the sake of the first in rank, never
// of one that holds less than the client that wants them. Among these one that frees enough with the least to
// compute again, else the one that frees most (perhaps nothing: blocks that two share are free when both have
// gone), then the last.
Sequence* Scheduler::Impl::cheapest_victim(std::size_t place, int32_t num_missing) {
  struct Cost {
    int64_t priority;  // as a cost: the lower, the better to take
    double greed;
    bool too_little;
    int32_t work;
    auto operator<=>(const Cost&) const = default;
  };
  Sequence* best = nullptr;
  Cost best_cost{};
  const Client* taker = running[place]->client;
  const bool is_fair = config.policy == SchedulingPolicy::kFair, contested = waiting.is_contested();
  if (contested) count_blocks();
  for (std::size_t i = running.size(); i-- > place + 1;) {
    Sequence* seq = running[i];
    if (seq->num_scheduled > 0) continue;
    const Client* client = seq->client;
    if (contested && place > 0 && client != taker && client->blocks() < taker->blocks()) continue;
    const double greed = is_fair ? client->served : contested ? client->blocks() : 0;
    const int32_t num_freed = kv->num_exclusive(seq->kv);
    const bool too_little = num_freed < num_missing;
    const Cost cost{-seq->rank.priority, -greed, too_little, too_little ? -num_freed : seq->num_computed};
    if (best != nullptr && !(cost < best_cost)) continue;
    best = seq;
    best_cost = cost;
  }
  return best;
}

// Its full blocks stay findable until they are needed: it may get them back.
void Scheduler::Impl::preempt(Sequence* seq) {
  drop_copies(seq);
  kv->release(&seq->kv);
  give_row_back(seq);
  running.erase(std::find(running.begin(), running.end(), seq));
  seq->num_computed = seq->num_scheduled = 0;
  seq->state = SequenceState::kWaiting;
  waiting.insert(seq);
  ++num_preemptions;
  ++seq->num_preemptions;
}

void Scheduler::Impl::write_plan(StepPlan* plan) {
  shape = {};
  for (Sequence* seq : running) {
    if (seq->num_scheduled > 0) write_sequence(plan, seq);
  }
  for (const PendingCopy& pending : pending_copies) plan->copies.push_back(pending.copy);
  if (!plan->empty()) pending_copies.clear();
}

void Scheduler::Impl::write_sequence(StepPlan* plan, Sequence* seq) {
  if (!seq->row_announced) write_new_row(plan, seq);
  const int32_t flat_begin = write_work(plan, *seq, seq->num_scheduled);
  kv->append_new_blocks(&seq->kv, seq->row, &plan->new_blocks, &plan->block_ids);
  if (seq->is_decoding())
    shape.add_decode(seq->num_computed);
  else
    shape.add_prefill(seq->num_computed, seq->num_scheduled);
  const SamplingParams& params = seq->request->params();
  if (seq->choice == 0 && params.num_prompt_logprobs >= 0)
    write_prompt_samples(plan, *seq, seq->num_scheduled, flat_begin);
  const bool caught_up = seq->num_scheduled == seq->num_remaining();
  if (!caught_up || params.max_tokens == 0) return;
  const int32_t flat_last = flat_begin + seq->num_scheduled - 1;
  write_sample(plan, *seq, flat_last);
  if (seq->choice == 0) sample_siblings(plan, seq, flat_last);
}

void Scheduler::Impl::sample_siblings(StepPlan* plan, Sequence* leader, int32_t flat_index) {
  RequestState* state = leader->request;
  if (state->num_attached == 0) return;
  const Sequence* twin = leader->row_step == plan->step_id ? leader : nullptr;
  for (Sequence& seq : state->choices) {
    if (rows.num_free() == 0 || must_hold_back(*seq.client)) break;
    if (seq.state != SequenceState::kAttached) continue;
    if (!reserve_output(&seq)) break;  // it comes in again by itself, and is refused if nothing has changed
    seq.state = SequenceState::kForking;
    --num_attached;
    --state->num_attached;
    seq.timings.scheduled = leader->timings.scheduled;
    start_running(&seq);
    write_new_row(plan, &seq, twin);
    twin = &seq;
    write_sample(plan, seq, flat_index);
  }
  detach_siblings(state);  // those without a row
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
