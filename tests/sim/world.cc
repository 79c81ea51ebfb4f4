#include "tests/sim/world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

namespace pagoda::sim {

World::World(const WorldConfig& config, Counts* counts)
    : config_(config), dice_(config.seed), counts_(counts), num_left_(config.num_requests) {
  kv_ = std::make_unique<KvManager>(config_.groups, config_.num_blocks, config_.cache);
  scheduler_ = std::make_unique<Scheduler>(config_.scheduler, kv_.get());
  runner_ = std::make_unique<testing::FakeRunner>(config_.model, config_.groups, config_.num_blocks,
                                                  config_.scheduler.max_num_seqs);
  runner_->root_of = [this](const NewRow& row) { return live_.at(row.id).root; };
  runner_->content_at = [this](RequestId id, std::size_t position) { return content_at(id, position); };
  if (config_.cache.offload_slots > 0) runner_->add_offload(config_.offload);
  max_len_ = scheduler_->max_sequence_len();
  invariants_ = std::make_unique<Invariants>(config_, kv_.get(), max_len_, &live_, counts_);
  ++counts_->worlds;
  counts_->windowed += config_.has_windows();
  counts_->with_states += config_.has_states();
  ++counts_->with_groups[std::min<std::size_t>(config_.groups.size(), 3)];
  counts_->offloading += config_.cache.offload_slots > 0;
  counts_->with_disk += config_.has_disk();
  counts_->fair += config_.scheduler.policy == SchedulingPolicy::kFair;
  counts_->priority += config_.scheduler.policy == SchedulingPolicy::kPriority;
  counts_->unchunked += !config_.scheduler.enable_chunked_prefill;
  counts_->by_time += config_.scheduler.adaptive_chunks;
  counts_->no_memory += config_.model.no_memory_one_in > 0;
}

void World::run() {
  while (num_left_ > 0 || !live_.empty()) {
    arrive();
    disturb();
    if (dice_.chance(0.05)) finish_somebody();
    step();
    EXPECT_LT(invariants_->num_steps(), invariants_->most_steps(num_choices_)) << "the world does not end";
    if (::testing::Test::HasFailure()) return;
  }
  check_end();
}

void World::check_end() {
  scheduler_->set_admission(true);
  finish_all_steps();
  for (int i = 0; i < 100000; ++i) {  // the last moves
    take_ended_moves();
    StepPlan& plan = scheduler_->plan(now_, &events_);
    if (plan.empty() && !is_disk_busy()) break;
    if (plan.empty()) continue;
    invariants_->plan(plan);
    launch(plan, 0);
    finish_step();
    if (::testing::Test::HasFailure()) return;
  }
  audit();
  take_finished();
  EXPECT_EQ(kv_->num_free(), kv_->num_blocks() - 1) << "blocks are lost";
  EXPECT_FALSE(scheduler_->has_work());
  const SchedulerStats stats = scheduler_->stats();
  EXPECT_EQ(stats.num_running + stats.num_waiting + stats.num_deferred, 0);
  EXPECT_EQ(num_finished_stats_, num_choices_);
  EXPECT_EQ(num_last_of_request_, static_cast<int64_t>(next_id_) - 1);
  counts_->steps += invariants_->num_steps();
  counts_->replayed_tokens += static_cast<int64_t>(runner_->num_replayed());
  counts_->choices += num_choices_;
}

void World::step() {
  now_ += std::chrono::microseconds(50);
  kv_->begin_step(now_);
  take_ended_moves();
  StepPlan& plan = scheduler_->plan(now_, &events_);
  take_events();
  EXPECT_TRUE(deadlines_.empty() || deadlines_.begin()->first > now_) << "a deadline was missed";
  if (plan.empty() && in_flight_.empty()) {
    check_idle();
    now_ += std::chrono::milliseconds(1);
    return;
  }
  counts_->overlapped += !in_flight_.empty() && !plan.empty();
  counts_->drains += plan.empty();
  if (!plan.empty()) {
    invariants_->plan(plan);
    if (!open_) invariants_->admission_is_closed();
    launch(plan, invariants_->step_ms());
  }
  if (plan.empty() || static_cast<int>(in_flight_.size()) == config_.scheduler.max_in_flight) finish_step();
  if (invariants_->num_steps() % 64 == 0) invariants_->check_starvation();
  if (invariants_->num_steps() >= next_audit_) {
    next_audit_ += 1000;
    audit();
  }
}

// Nothing is to be done: all that is left is under a hold, the test's or that of a disk that reads.
void World::check_idle() const {
  if (!open_) return;
  const SchedulerStats stats = scheduler_->stats();
  EXPECT_EQ(stats.num_running + stats.num_waiting, 0);
  counts_->idle_reads += is_disk_busy();
  for (const auto& [id, live] : live_)
    EXPECT_TRUE(live.held || is_disk_busy()) << "request " << id << " waits for nothing";
}

bool World::is_disk_busy() const {
  return runner_->offload() != nullptr && runner_->offload()->is_busy();
}

void World::launch(const StepPlan& plan, double ms) {
  ASSERT_TRUE(runner_->launch(plan).ok());
  counts_->copies += static_cast<int64_t>(plan.copies.size());
  in_flight_.push_back({&plan, now_, std::max(ms, 0.01)});
}

void World::finish_step() {
  const Flight flight = in_flight_.front();
  const StepPlan& plan = *flight.plan;
  in_flight_.pop_front();
  StepResult result;
  const Status done = runner_->wait(plan.step_id, &result);
  ASSERT_TRUE(done.ok()) << done.message();
  // Each block that a row may look at is in use; what falls behind a window is given up before we know, and
  // so are rows whose end a plan in flight has not told.
  if (!config_.has_windows() && !config_.has_states() && config_.scheduler.max_in_flight == 1) {
    EXPECT_LE(runner_->num_owned(), kv_->num_blocks() - 1 - kv_->num_free()) << "a free block is in use";
  }
  count_moves(plan);
  device_done_ =
      std::max(flight.launched_at, device_done_) +
      std::chrono::duration_cast<Time::duration>(std::chrono::duration<double, std::milli>(flight.ms));
  now_ = std::max(now_, device_done_);
  if (dice_.chance(config_.cancel / 2)) cancel_somebody();  // also while a step is in flight
  invariants_->commit();
  if (result.no_memory) invariants_->lost_step();
  counts_->lost_steps += result.no_memory;
  scheduler_->commit(plan, result, now_, &events_);
  check_step_stats();
  lost_step_ = result.no_memory;
  take_events();
  lost_step_ = false;
  take_finished();
  take_kv_events();
}

void World::finish_all_steps() {
  while (!in_flight_.empty() && !::testing::Test::HasFailure()) finish_step();
}

void World::audit() {
  ++counts_->audits;
  scheduler_->check();
  EXPECT_TRUE(runner_->audit()) << runner_->violation();
}

void World::cancel_somebody() {
  if (live_.empty()) return;
  auto it = std::next(live_.begin(), dice_.pick(0, static_cast<int>(live_.size()) - 1));
  const RequestId id = it->first;
  it->second.cancelled = true;
  scheduler_->cancel(id, now_, &events_);
  take_events();
  EXPECT_FALSE(live_.contains(id)) << "a cancelled request goes on";
  EXPECT_EQ(scheduler_->find(id), nullptr);
  scheduler_->cancel(next_id_ + 1000, now_, &events_);  // an unknown id
}

void World::disturb() {
  if (dice_.chance(config_.cancel)) cancel_somebody();
  while (!held_.empty() && dice_.chance(num_left_ == 0 ? 0.5 : 0.05)) {
    const auto it = std::next(held_.begin(), dice_.pick(0, static_cast<int>(held_.size()) - 1));
    release(*it, &live_.at(*it));
  }
  close_and_open();
  if (dice_.chance(config_.preempt_all)) {
    finish_all_steps();
    scheduler_->preempt_all();
    invariants_->preempted_all();
    ++counts_->clearings;
    if (dice_.chance(0.5)) {
      kv_->reset_prefix_cache();
      ++counts_->resets;
    }
  }
  if (dice_.chance(config_.reset)) {
    kv_->reset_prefix_cache();
    ++counts_->resets;
  }
}

void World::close_and_open() {
  const bool was_open = open_;
  if (open_)
    open_ = !dice_.chance(config_.close);
  else
    open_ = dice_.chance(0.05);
  if (open_ == was_open) return;
  counts_->closings += was_open;
  scheduler_->set_admission(open_);
}

// A reader has found a stop string.
void World::finish_somebody() {
  if (live_.empty()) return;
  auto it = std::next(live_.begin(), dice_.pick(0, static_cast<int>(live_.size()) - 1));
  const int number = dice_.pick(0, static_cast<int>(it->second.choices.size()) - 1);
  Choice& choice = it->second.choices[static_cast<std::size_t>(number)];
  if (choice.finish == FinishReason::kNone && choice.num_output > 0) {
    choice.expected.tokens.resize(choice.num_output);
    choice.expected.finish = FinishReason::kStop;
    choice.expected.stop_token = -1;
    ++counts_->finished_from_above;
  }
  scheduler_->finish(it->first, number, now_, &events_);
  take_events();
}

void World::release(RequestId id, Live* live) {
  if (scheduler_->find(id)->holds == (kHoldLora | kHoldGrammar)) scheduler_->release_hold(id, kHoldGrammar);
  scheduler_->release_hold(id, kHoldLora);
  live->held = false;
  held_.erase(id);
  invariants_->became_ready(&live->choices[0]);
  ++counts_->holds;
}

}  // namespace pagoda::sim
