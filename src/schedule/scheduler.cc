#include "schedule/scheduler.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/memory_reserve.h"
#include "schedule/scheduler_impl.h"

namespace pagoda {
namespace {

// The longest sequence that the whole cache holds; blocks_needed does not fall with the length.
int32_t longest_sequence(const SchedulerConfig& config, const KvManager& kv) {
  int32_t low = 0, high = config.max_model_len;
  while (low < high) {
    int32_t middle = low + (high - low + 1) / 2;
    bool fits = kv.blocks_needed(middle, config.max_num_batched_tokens) <= kv.num_blocks() - 1;
    (fits ? low : high) = fits ? middle : middle - 1;
  }
  return low;
}

// As push_back would: not for just as many.
template <class T>
void reserve_more(std::vector<T>* list, std::size_t num_more) {
  if (const std::size_t wanted = list->size() + num_more; wanted > list->capacity())
    list->reserve(std::max(wanted, 2 * list->capacity()));
}

}  // namespace

Scheduler::Impl::Impl(const SchedulerConfig& scheduler_config, KvManager* manager)
    : config(scheduler_config),
      kv(manager),
      num_groups(manager->num_groups()),
      max_len(longest_sequence(scheduler_config, *manager)),
      waiting(scheduler_config.policy),
      rows(scheduler_config.max_num_seqs),
      budget(config) {
  PAGODA_CHECK(config.max_num_seqs > 0 && config.max_num_batched_tokens > 0, "a step has room for something");
  PAGODA_CHECK(config.max_model_len > 0, "a sequence has room for something");
  PAGODA_CHECK(config.max_in_flight == 1 || config.max_in_flight == 2, "one plan in flight, or two");
  PAGODA_CHECK(config.enable_chunked_prefill || config.max_num_batched_tokens >= max_len,
               "a prompt in one piece fits a step");
  running.reserve(static_cast<std::size_t>(config.max_num_seqs));
  retired.reserve(static_cast<std::size_t>(config.max_num_seqs) * std::size(flights));
}

TokenEvent Scheduler::Impl::event_of(const Sequence& seq) const {
  TokenEvent event;
  event.id = seq.request->request->id;
  event.choice = seq.choice;
  event.counts = {seq.num_prompt(), seq.num_cached, seq.num_output()};
  event.timings = seq.timings;
  return event;
}

void Scheduler::Impl::end(Sequence* seq, FinishReason finish, Time now, TokenEvent&& event,
                          std::vector<TokenEvent>* out) {
  RequestState* state = seq->request;
  switch (seq->state) {
    case SequenceState::kWaiting:
      waiting.remove(seq);
      break;
    case SequenceState::kHeld:
      held.remove(seq);
      break;
    case SequenceState::kAttached:
      --num_attached;
      --state->num_attached;
      break;
    case SequenceState::kForking:
    case SequenceState::kRunning:
      give_row_back(seq);
      break;
    case SequenceState::kEnded:
      PAGODA_CHECK(false, "a choice ends once");
  }
  seq->state = SequenceState::kEnded;
  begin(seq);
  waiting.leave(seq);
  ended.push_back(seq);
  state->max_num_output = std::max(state->max_num_output, seq->num_output());
  seq->last_of_request = --state->num_live == 0;

  event.finish = finish;
  event.timings.finished = now;
  finished.push_back({.id = state->request->id,
                      .choice = seq->choice,
                      .finish = finish,
                      .counts = event.counts,
                      .max_tokens = state->params().max_tokens,
                      .n = state->request->n,
                      .last_of_request = seq->last_of_request,
                      .max_num_output = state->max_num_output,
                      .num_preemptions = seq->num_preemptions,
                      .timings = event.timings});
  out->push_back(std::move(event));
}

void Scheduler::Impl::end_all(RequestState* state, FinishReason finish, const std::string& error, Time now,
                              std::vector<TokenEvent>* out, bool no_memory) {
  const auto num_live = static_cast<std::size_t>(state->num_live);
  reserve_more(out, num_live);
  reserve_more(&ended, num_live);
  reserve_more(&finished, num_live);
  reserve_more(&begun, 1);
  std::vector<std::string> errors(num_live, error);
  for (Sequence& seq : state->choices) {
    if (seq.state == SequenceState::kEnded) continue;
    TokenEvent event = event_of(seq);
    event.error = std::move(errors.back());
    event.no_memory = no_memory;
    errors.pop_back();
    end(&seq, finish, now, std::move(event), out);
  }
}

// Blocks are given back only here, after all forks of a commit are made: else a block could be the source of
// one fork's copy and the target of another's within the same plan.
void Scheduler::Impl::flush_ended() {
  if (ended.empty()) return;
  std::erase_if(running, [](const Sequence* seq) { return seq->state == SequenceState::kEnded; });
  for (Sequence* seq : ended) {
    drop_copies(seq);
    release_blocks(seq);
    if (seq->last_of_request)
      requests.erase(seq->request->request->id);  // destroys *seq, the last one of its request
  }
  ended.clear();
}

// What a plan in flight uses is no other sequence's before that plan is committed.
void Scheduler::Impl::release_blocks(Sequence* seq) {
  if (seq->last_step > num_committed)
    retired.push_back({seq->last_step, std::move(seq->kv)});
  else
    kv->release(&seq->kv);
}

void Scheduler::Impl::detach_siblings(RequestState* state) {
  if (state->num_attached == 0) return;
  for (Sequence& seq : state->choices) {
    if (seq.state != SequenceState::kAttached) continue;
    seq.state = SequenceState::kWaiting;
    waiting.insert(&seq);
  }
  num_attached -= std::exchange(state->num_attached, 0);
}

void Scheduler::Impl::start_running(Sequence* seq) {
  rows.take(seq);
  ++seq->tenant->num_seats;
  seq->row_announced = false;
  begin(seq);
}

void Scheduler::Impl::give_row_back(Sequence* seq) {
  rows.give_back(seq);
  --seq->tenant->num_seats;
  seq->num_output_placeholders = 0;  // what a plan in flight samples for the row is dropped
}

int64_t Scheduler::Impl::rank_priority(const Request& request) const {
  if (config.policy == SchedulingPolicy::kPriority) return request.priority;
  return config.policy == SchedulingPolicy::kFcfs && request.goes_ahead ? -1 : 0;
}

void Scheduler::Impl::begin(Sequence* seq) {
  if (std::exchange(seq->begun, true)) return;
  if (--seq->request->num_not_begun == 0) begun.push_back(seq->request->request->id);
}

void Scheduler::Impl::insert_running(Sequence* seq) {
  seq->state = SequenceState::kRunning;
  auto by_rank = [](const Sequence* a, const Sequence* b) { return a->rank < b->rank; };
  running.insert(std::upper_bound(running.begin(), running.end(), seq, by_rank), seq);
}

void Scheduler::Impl::drop_copies(const Sequence* seq) {
  std::erase_if(pending_copies, [seq](const PendingCopy& pending) { return pending.seq == seq; });
}

void Scheduler::Impl::check() const {
  std::vector<const SeqKv*> all;
  int32_t num_rows_used = 0, num_waiting = 0, num_held = 0, attached = 0;
  for (const auto& [id, state] : requests) {
    int32_t num_live = 0, num_attached_here = 0;
    for (const Sequence& seq : state->choices) {
      bool has_row = seq.state == SequenceState::kRunning || seq.state == SequenceState::kForking;
      PAGODA_CHECK(has_row == (seq.row >= 0), "a sequence has a row exactly while it runs");
      PAGODA_CHECK(!has_row || rows.owner(seq.row) == &seq, "a row belongs to another sequence");
      PAGODA_CHECK(seq.state == SequenceState::kRunning || kv->num_held(seq.kv) == 0,
                   "blocks are held outside of running");
      PAGODA_CHECK(!has_row || seq.num_planned_tokens() <= max_len, "a sequence is longer than allowed");
      PAGODA_CHECK(
          seq.num_output_placeholders >= 0 && seq.num_output_placeholders <= (has_row ? num_in_flight() : 0),
          "a placeholder is of a plan in flight");
      num_rows_used += has_row;
      num_waiting += seq.state == SequenceState::kWaiting;
      num_held += seq.state == SequenceState::kHeld;
      num_attached_here += seq.state == SequenceState::kAttached;
      num_live += seq.state != SequenceState::kEnded;
      all.push_back(&seq.kv);
    }
    PAGODA_CHECK(num_live == state->num_live && num_live > 0, "a request's live choices are miscounted");
    PAGODA_CHECK(num_attached_here == state->num_attached, "a request's attached choices are miscounted");
    attached += num_attached_here;
  }
  auto by_rank = [](const Sequence* a, const Sequence* b) { return a->rank < b->rank; };
  PAGODA_CHECK(std::is_sorted(running.begin(), running.end(), by_rank), "the running are not in rank order");
  PAGODA_CHECK(rows.num_free() + num_rows_used == config.max_num_seqs, "a row is lost");
  PAGODA_CHECK(waiting.size() == num_waiting && held.size() == num_held, "a sequence is in the wrong queue");
  PAGODA_CHECK(num_attached == attached, "attached choices are miscounted");
  PAGODA_CHECK(num_in_flight() <= config.max_in_flight, "too many plans in flight");
  for (const Retired& one : retired) {
    PAGODA_CHECK(one.last_step > num_committed, "blocks are kept that no plan in flight uses");
    all.push_back(&one.kv);
  }
  kv->check(all);
}

Scheduler::Scheduler(const SchedulerConfig& config, KvManager* kv)
    : impl_(std::make_unique<Impl>(config, kv)) {}
Scheduler::~Scheduler() = default;

void Scheduler::submit(std::unique_ptr<Request> request, Time now, std::vector<TokenEvent>* out) {
  PAGODA_CHECK(!request->prompt.empty() && request->n > 0, "a request has a prompt and a choice");
  Impl& impl = *impl_;
  // What asks for memory comes first: where there is none nothing has changed.
  auto state = std::make_unique<RequestState>();
  {
    const KeepOffReserve large;
    state->choices = std::vector<Sequence>(static_cast<std::size_t>(request->n));
  }
  reserve_more(&impl.deadlines, 1);
  impl.waiting.prepare(request->tenant_key);
  const RequestId id = request->id;
  auto [place, is_new] = impl.requests.emplace(id, std::move(state));
  PAGODA_CHECK(is_new, "a request id is in use");
  impl.enter(place->second.get(), std::move(request));
  impl.reject_unschedulable(place->second.get(), now, out);
}

void Scheduler::Impl::enter(RequestState* state, std::unique_ptr<Request> request) {
  state->num_live = state->num_not_begun = request->n;
  state->num_attached = request->n - 1;
  num_attached += request->n - 1;
  TenantShare* tenant = waiting.join(request->tenant_key, request->tenant_weight, request->n);
  for (int32_t i = 0; i < request->n; ++i) {
    Sequence& seq = state->choices[static_cast<std::size_t>(i)];
    seq.request = state;
    seq.prompt = request->prompt;
    seq.choice = i;
    seq.timings.arrival = request->arrival;
    seq.rank = {rank_priority(*request), next_order++};
    seq.tenant = tenant;
  }
  if (request->deadline != Time::max()) {
    if (deadlines.size() > 64 + 2 * requests.size()) {  // most have ended before their time
      std::erase_if(deadlines, [&](const auto& entry) { return !requests.contains(entry.second); });
      std::make_heap(deadlines.begin(), deadlines.end(), std::greater<>());
    }
    deadlines.emplace_back(request->deadline, request->id);
    std::push_heap(deadlines.begin(), deadlines.end(), std::greater<>());
  }
  Sequence* leader = &state->choices[0];
  state->request = std::move(request);
  if (state->request->holds != kHoldNone) return hold(leader, state->request->holds);
  leader->state = SequenceState::kWaiting;
  waiting.insert(leader);
}

// The last token's own K/V is not needed, so a prompt that is to be continued must leave room for one more.
void Scheduler::Impl::reject_unschedulable(RequestState* state, Time now, std::vector<TokenEvent>* out) {
  const int32_t num_prompt = state->choices[0].num_prompt();
  if (num_prompt + (state->params().max_tokens > 0 ? 1 : 0) <= max_len) return;
  end_all(state, FinishReason::kError,
          "the prompt has " + std::to_string(num_prompt) + " tokens, but a sequence can have " +
              std::to_string(max_len) + " at most (max_model_len, or what the KV cache holds)",
          now, out);
  flush_ended();
}

void Scheduler::preempt_all() {
  PAGODA_CHECK(impl_->num_in_flight() == 0, "a plan is in flight");
  impl_->preempt_all();
  impl_->last_preemption = impl_->num_plans + 1;
}

void Scheduler::set_admission(bool open) {
  impl_->admission = open;
}

void Scheduler::cancel(RequestId id, Time now, std::vector<TokenEvent>* out) {
  auto it = impl_->requests.find(id);
  if (it == impl_->requests.end()) return;
  impl_->end_all(it->second.get(), FinishReason::kAbort, {}, now, out);
  impl_->flush_ended();
}

void Scheduler::finish(RequestId id, int32_t choice, Time now, std::vector<TokenEvent>* out) {
  auto it = impl_->requests.find(id);
  if (it == impl_->requests.end()) return;
  RequestState* state = it->second.get();
  if (choice < 0 || choice >= state->request->n) return;
  Sequence* seq = &state->choices[static_cast<std::size_t>(choice)];
  // One without output is not complete, and others may still lean on it for their prompt.
  if (seq->state == SequenceState::kEnded || seq->num_output() == 0) return;
  impl_->end(seq, FinishReason::kStop, now, impl_->event_of(*seq), out);
  impl_->flush_ended();
}

void Scheduler::release_hold(RequestId id, Hold hold) {
  auto it = impl_->requests.find(id);
  if (it == impl_->requests.end()) return;
  impl_->release(&it->second->choices[0], hold);
}

void Scheduler::fail_largest(Time now, std::vector<TokenEvent>* out) {
  auto weight = [](const RequestState& state) {
    const SamplingParams& params = state.params();
    const int64_t of_prompt = state.choices[0].num_prompt() * int64_t{params.num_prompt_logprobs + 1};
    return int64_t{state.num_live} * (2 + params.num_logprobs) + of_prompt;
  };
  RequestState* largest = nullptr;
  for (auto& [id, state] : impl_->requests)
    if (largest == nullptr || weight(*state) > weight(*largest)) largest = state.get();
  if (largest == nullptr) return;
  impl_->end_all(largest, FinishReason::kError, {}, now, out, true);
  impl_->flush_ended();
}

void Scheduler::abort_all(FinishReason reason, const std::string& error, Time now,
                          std::vector<TokenEvent>* out) {
  for (auto& [id, state] : impl_->requests) impl_->end_all(state.get(), reason, error, now, out);
  impl_->flush_ended();
}

StepPlan& Scheduler::plan(Time now, std::vector<TokenEvent>* out) {
  return impl_->plan(now, out);
}
void Scheduler::expire(Time now, std::vector<TokenEvent>* out) {
  impl_->expire(now, out);
}
void Scheduler::commit(const StepPlan& plan, const StepResult& result, Time now,
                       std::vector<TokenEvent>* out) {
  impl_->commit(plan, result, now, out);
}
bool Scheduler::has_work() const {
  return !impl_->running.empty() || !impl_->waiting.empty();
}
Time Scheduler::next_deadline() const {
  return impl_->deadlines.empty() ? Time::max() : impl_->deadlines.front().first;
}
int32_t Scheduler::max_sequence_len() const {
  return impl_->max_len;
}
const StepStats& Scheduler::last_step() const {
  return impl_->step_stats;
}
void Scheduler::check() const {
  impl_->check();
}

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats;
  stats.num_running = impl_->config.max_num_seqs - impl_->rows.num_free();  // those that fork, too
  stats.num_waiting = impl_->waiting.size() + impl_->num_attached;
  for (Sequence* seq = impl_->held.front(); seq != nullptr; seq = seq->next) {
    stats.num_deferred += 1 + seq->request->num_attached;
    stats.num_waiting -= seq->request->num_attached;
  }
  stats.offload = impl_->kv->offload_stats();
  stats.num_preemptions = impl_->num_preemptions;
  stats.prefix_queries = impl_->prefix_queries;
  stats.prefix_hits = impl_->prefix_hits;
  stats.prefix_requests = impl_->prefix_requests;
  stats.kv_usage = impl_->kv->usage();
  for (std::size_t g = 0; g < impl_->num_groups; ++g) stats.kv_group_usage.push_back(impl_->kv->usage(g));
  return stats;
}

void Scheduler::take_finished(std::vector<FinishedStats>* out) {
  out->insert(out->end(), impl_->finished.begin(), impl_->finished.end());
  impl_->finished.clear();
}

void Scheduler::take_begun(std::vector<RequestId>* out) {
  out->insert(out->end(), impl_->begun.begin(), impl_->begun.end());
  impl_->begun.clear();
}

Request* Scheduler::find(RequestId id) {
  auto it = impl_->requests.find(id);
  return it == impl_->requests.end() ? nullptr : it->second->request.get();
}

}  // namespace pagoda
