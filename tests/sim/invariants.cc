#include "tests/sim/invariants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace pagoda::sim {

Invariants::Invariants(const WorldConfig& config, const KvManager* kv, int32_t max_len,
                       std::map<RequestId, Live>* live, Counts* counts)
    : config_(config),
      kv_(kv),
      max_len_(max_len),
      live_(live),
      counts_(counts),
      rows_(index(config.scheduler.max_num_seqs)),
      tenants_(index(config.num_tenants)),
      pairs_(index(config.num_tenants) * index(config.num_tenants)) {}

// The first in rank gets a chunk of its prompt or a token in every step and is never pushed out. The chunk:
// half of what the decodes leave (the other half may be the shortest prompt's), at least a token; one that
// ends with a block may be half of that again. Sized by time it may be no more than 16 tokens.
int64_t Invariants::steps_alone() const {
  const SchedulerConfig& config = config_.scheduler;
  int64_t chunk = std::max(config.max_num_batched_tokens - config.max_num_seqs, 1);
  if (config.adaptive_chunks) chunk = std::min<int64_t>(chunk, 16);
  chunk = std::max<int64_t>((chunk + 1) / 4, 1);
  if (config.long_prefill_token_threshold > 0)
    chunk = std::min<int64_t>(chunk, (config.long_prefill_token_threshold + 1) / 2);
  if (!config.enable_chunked_prefill) chunk = std::max(max_len_, 1);  // 0: the cache holds no sequence
  return (max_len_ + chunk - 1) / chunk + max_len_ + 1;
}

// A choice that has just become ready ends before all that are here, each after the other, and those that may
// bypass it, would have ended; of other tenants as many may come later, by weight.
int64_t Invariants::bound() const {
  int64_t num_ahead = 0;
  for (const auto& [id, live] : *live_)
    num_ahead += live.held ? 0 : static_cast<int64_t>(live.choices.size());
  constexpr int64_t kMostWeight = 3;
  const int64_t turns = config_.num_tenants > 1 ? 1 + (config_.num_tenants - 1) * kMostWeight : 1;
  return num_steps_ - slack_ + (num_ahead + 1 + config_.scheduler.max_overtakes) * turns * steps_alone();
}

void Invariants::wait(Choice* choice) {
  choice->waiting = true;
  waiting_.insert(choice);
  ++tenants_[choice->live->tenant].num_waiting;
}

void Invariants::stop_waiting(Choice* choice) {
  if (!choice->waiting) return;
  choice->waiting = false;
  waiting_.erase(choice);
  --tenants_[choice->live->tenant].num_waiting;
}

void Invariants::became_ready(Choice* leader) {
  wait(leader);
  leader->bound = bound();
  // It takes its place before some who thought that it was behind them: one that was held, or is of a better
  // class.
  const int64_t more = steps_alone() * static_cast<int64_t>(leader->live->choices.size());
  for (auto& [id, other] : *live_)
    for (Choice& choice : other.choices)
      if (choice.bound >= 0 && leader->rank < choice.rank) choice.bound += more;
}

void Invariants::siblings_ready(Live* live) {
  for (Choice& choice : live->choices)
    if (choice.bound < 0) choice.bound = bound();
}

void Invariants::took_token(const Choice& choice) {
  tenants_[choice.live->tenant].served += 2.0 / config_.weight_of(choice.live->tenant);
}

void Invariants::ended(Choice* choice) {
  stop_waiting(choice);
  if (choice->row >= 0) rows_[index(choice->row)].choice = nullptr;
  ++counts_->endings;
}

void Invariants::preempted_all() {
  preempted_all_ = true;
  slack_ += steps_alone() * static_cast<int64_t>(live_->size());
}

// Tokens that a plan may compute; none where a plan in flight samples the last one, or computes a prompt of
// which nothing more is wanted.
int64_t Invariants::num_remaining(const Choice& choice) const {
  const auto num_prompt = static_cast<int64_t>(choice.live->prompt.size());
  const int64_t num_output = static_cast<int64_t>(choice.num_output) + choice.num_pending;
  const int64_t max_tokens = choice.live->params.max_tokens;
  const bool ends =
      choice.num_pending > 0 && (num_output >= max_tokens || num_prompt + num_output >= max_len_);
  return ends ? 0 : num_prompt + num_output - choice.num_planned;
}

// But for those that are being forked, and those for which nothing is left to compute.
const Choice* Invariants::first_running(uint64_t step) const {
  const Choice* first = nullptr;
  for (const RowState& row : rows_) {
    if (row.choice == nullptr) continue;
    const bool forks = row.work_step < row.new_step && row.choice->num_pending > 0;
    if (forks || (row.work_step != step && num_remaining(*row.choice) == 0)) continue;
    if (first == nullptr || row.choice->rank < first->rank) first = row.choice;
  }
  return first;
}

void Invariants::free_rows(const StepPlan& plan) {
  const Choice* first = first_running(plan.step_id);
  for (int32_t freed : plan.freed_rows) {
    RowState& row = rows_[index(freed)];
    EXPECT_TRUE(row.used) << "a row is freed that no choice had";
    row.used = false;
    Choice* choice = std::exchange(row.choice, nullptr);
    if (choice == nullptr) continue;
    choice->row = -1;
    choice->num_planned = 0;
    EXPECT_EQ(choice->num_pending, 0) << "pushed out while a plan in flight samples for it";
    wait(choice);
    ++(choice->has_worked ? counts_->preemptions : counts_->failed_forks);
    EXPECT_TRUE(choice != first || preempted_all_ || !choice->has_worked)  // not: no blocks for a fork
        << "the first in rank was pushed out";
  }
  preempted_all_ = false;
}

// Returns who was admitted; the others have been forked.
std::vector<Choice*> Invariants::take_new_rows(const StepPlan& plan) {
  for (const RowWork& work : plan.work) rows_[index(work.row)].work_step = plan.step_id;
  std::vector<Choice*> admitted;
  for (const NewRow& fresh : plan.new_rows) {
    auto it = live_->find(fresh.id);
    if (it == live_->end()) {
      ADD_FAILURE() << "a row for request " << fresh.id << ", which has ended";
      continue;
    }
    Choice* choice = &it->second.choices[index(fresh.choice)];
    EXPECT_FALSE(it->second.held) << "held, but it runs";
    RowState& row = rows_[index(fresh.row)];
    EXPECT_FALSE(row.used) << "two choices in one row";
    const bool has_work = row.work_step == plan.step_id;
    row = {choice, true, row.work_step, plan.step_id};
    choice->row = fresh.row;
    if (!has_work) {
      EXPECT_TRUE(choice->number > 0 && !choice->waiting) << "a row without work";
      ++counts_->forks;
      continue;
    }
    stop_waiting(choice);
    admitted.push_back(choice);
  }
  counts_->admissions += static_cast<int64_t>(admitted.size());
  return admitted;
}

// No choice is bypassed by more than max_overtakes of those behind in rank of the same tenant; tenants take
// turns. One that waits for the disk may be bypassed freely.
void Invariants::check_bypass(const std::vector<Choice*>& admitted) {
  if (admitted.empty() || config_.has_disk()) return;
  for (const Choice* one : admitted) {
    for (Choice* other : waiting_) {
      if (!(other->rank < one->rank)) break;
      if (other->live->tenant != one->live->tenant) continue;
      ++counts_->bypasses;
      EXPECT_LE(++other->num_bypassed, config_.scheduler.max_overtakes) << "bypassed beyond the limit";
    }
  }
}

void Invariants::check_work(const StepPlan& plan) {
  const SchedulerConfig& config = config_.scheduler;
  Shape shape;
  for (const RowWork& work : plan.work) {
    Choice* choice = rows_[index(work.row)].choice;
    if (choice == nullptr) {
      ADD_FAILURE() << "work for a row that no choice has";
      continue;
    }
    const int64_t num_output = static_cast<int64_t>(choice->num_output) + choice->num_pending;
    const int64_t num_tokens = static_cast<int64_t>(choice->live->prompt.size()) + num_output;
    choice->num_planned = work.num_computed_tokens;
    const int64_t remaining = num_remaining(*choice);
    choice->num_planned += work.num_scheduled_tokens;
    const int64_t num = work.num_scheduled_tokens;
    EXPECT_TRUE(num > 0 && num <= remaining) << "the last token is covered, or more is planned than there is";
    EXPECT_TRUE(config.enable_chunked_prefill || num == remaining) << "a prompt in pieces";
    if (config.long_prefill_token_threshold > 0 && config.enable_chunked_prefill) {
      EXPECT_LE(num, config.long_prefill_token_threshold);
    }
    if (!choice->was_admitted) {
      const int64_t num_prompt = static_cast<int64_t>(choice->live->prompt.size());
      const int64_t hit = std::min<int64_t>(work.num_computed_tokens, num_prompt);
      choice->was_admitted = true;
      counts_->prompt_tokens += num_prompt;
      counts_->hit_tokens += hit;
      if (config_.has_states()) counts_->state_hit_tokens += hit;
      tenants_[choice->live->tenant].served +=
          static_cast<double>(num_prompt - hit) / config_.weight_of(choice->live->tenant);
    }
    shape.tokens += num;
    shape.num_waiting_for_it +=
        remaining == 1 && num_output > 0 && rows_[index(work.row)].new_step != plan.step_id;
    choice->has_worked = true;
    if (remaining == 1) {
      ++shape.num_decoding;
      shape.decode_context += num_tokens;
      continue;
    }
    const int64_t least = std::min<int64_t>(num, 16 - std::min<int64_t>(shape.least_tokens, 16));
    shape.least_tokens += least;
    shape.pairs += static_cast<double>(num) *
                   (static_cast<double>(work.num_computed_tokens) + static_cast<double>(num) / 2);
    shape.least_pairs += static_cast<double>(least) * static_cast<double>(work.num_computed_tokens + 8);
  }
  counts_->rows += static_cast<int64_t>(plan.work.size());
  EXPECT_LE(plan.num_tokens, config.max_num_batched_tokens) << "the token budget";
  EXPECT_EQ(plan.num_tokens, shape.tokens);
  step_ms_ = shape.ms(config_.clock);
  check_latency(shape);
}

// What a choice may still be given is known in advance: no plan samples more.
void Invariants::check_samples(const StepPlan& plan) {
  in_flight_.emplace_back();
  for (const SampleWork& sample : plan.samples) {
    Choice* choice = rows_[index(sample.row)].choice;
    if (sample.kind != SampleKind::kSample || choice == nullptr) continue;  // check_work() has told
    const auto num_prompt = static_cast<int64_t>(choice->live->prompt.size());
    const int64_t num_output = static_cast<int64_t>(choice->num_output) + ++choice->num_pending;
    EXPECT_LE(num_output, choice->live->params.max_tokens) << "more is sampled than was asked for";
    EXPECT_LE(num_prompt + num_output, max_len_) << "more is sampled than fits";
    in_flight_.back().emplace_back(choice->live->id, choice->number);
  }
}

void Invariants::commit() {
  for (const auto& [id, number] : in_flight_.front()) {
    const auto it = live_->find(id);
    if (it != live_->end()) --it->second.choices[index(number)].num_pending;
  }
  in_flight_.pop_front();
}

// Without noise a step with a decode stays within the bound, unless 16 tokens of prompts beside
// the decodes are too many already. The model of step times needs some steps first.
void Invariants::check_latency(const Shape& shape) {
  const double slo = config_.scheduler.itl_slo_ms;
  if (slo <= 0 || shape.num_waiting_for_it == 0 || ++num_timed_ < 100) return;
  const double least =
      config_.clock.ms(shape.num_decoding + shape.least_tokens, shape.decode_context, shape.least_pairs);
  if (least > slo) return;
  ++counts_->timed_steps;
  counts_->late_steps += step_ms_ > slo;
  // What a prompt that is let in finds in the cache, and so must attend to, is not foreseen.
  EXPECT_LE(step_ms_ - config_.clock.pair_ms * shape.pairs, slo * 1.2) << "far above the latency bound";
}

// Two tenants that both have waiting choices are served alike: each one's share, by cost and weight, exceeds
// the other's by no more than one prompt and what its running choices can still be given. For: what is
// admitted is of the tenant that was served least, and after that its rows' outputs are all that is added.
void Invariants::check_fairness() {
  const SchedulerConfig& config = config_.scheduler;
  if (config.policy != SchedulingPolicy::kFair || config.max_overtakes > 0 || config_.has_disk() ||
      config_.has_forks)
    return;
  const double most = max_len_ + 2.0 * max_len_ * config.max_num_seqs;
  const auto n = tenants_.size();
  for (std::size_t a = 0; a < n; ++a) {
    for (std::size_t b = a + 1; b < n; ++b) {
      PairState& pair = pairs_[a * n + b];
      const double difference = tenants_[a].served - tenants_[b].served;
      const bool backlogged = tenants_[a].num_waiting > 0 && tenants_[b].num_waiting > 0;
      if (!pair.backlogged) pair.base = difference;
      pair.backlogged = backlogged;
      if (!backlogged) continue;
      ++counts_->fairness_checks;
      EXPECT_LE(std::abs(difference - pair.base), most / config_.weight_of(a) + most / config_.weight_of(b))
          << "tenants " << a << " and " << b << " are served unequally";
    }
  }
}

void Invariants::plan(const StepPlan& plan) {
  ++num_steps_;
  free_rows(plan);
  const bool had_running =
      std::ranges::any_of(rows_, [](const RowState& row) { return row.choice != nullptr; });
  const std::vector<Choice*> admitted = take_new_rows(plan);
  check_bypass(admitted);
  check_work(plan);
  check_samples(plan);
  if (const Choice* first = first_running(plan.step_id); first != nullptr && !plan.work.empty()) {
    EXPECT_EQ(rows_[index(first->row)].work_step, plan.step_id) << "the first in rank gets nothing";
  }
  if (config_.scheduler.watermark > 0 && (admitted.size() > 1 || (had_running && !admitted.empty()))) {
    ++counts_->watermark_checks;
    EXPECT_GE(kv_->num_free(), static_cast<int32_t>(config_.scheduler.watermark * kv_->num_blocks()))
        << "an admission has gone below the watermark";
  }
  check_fairness();
}

// No choice waits for ever under fcfs and priority: within a class, and beside those of better ones.
void Invariants::check_starvation() {
  if (config_.scheduler.policy == SchedulingPolicy::kFair || config_.has_disk()) return;
  for (const auto& [id, live] : *live_) {
    for (const Choice& choice : live.choices) {
      if (choice.finish != FinishReason::kNone || choice.bound < 0) continue;
      ++counts_->starvation_checks;
      EXPECT_LE(num_steps_, choice.bound + slack_) << "request " << id << " starves";
    }
  }
}

}  // namespace pagoda::sim
