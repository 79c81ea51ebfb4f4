// What comes out of the scheduler, against what should.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/world.h"

namespace pagoda::sim {

void World::take_events() {
  for (const TokenEvent& event : events_) take_event(event);
  events_.clear();
}

void World::take_event(const TokenEvent& event) {
  auto it = live_.find(event.id);
  ASSERT_NE(it, live_.end()) << "an event of an unknown or ended request";
  Live& live = it->second;
  Choice& choice = live.choices.at(static_cast<std::size_t>(event.choice));
  ASSERT_EQ(choice.finish, FinishReason::kNone) << "an event after the last";
  EXPECT_FALSE(live.held && !live.cancelled && event.finish != FinishReason::kTimeout &&
               event.finish != FinishReason::kError)
      << "held, but it ran";
  take_prompt_rows(&live, event);
  ASSERT_LE(event.out.token.size(), 1u);
  for (std::size_t i = 0; i < event.out.token.size(); ++i) take_token(live, &choice, event, i);
  EXPECT_EQ(event.counts.num_output, static_cast<int>(choice.num_output));
  EXPECT_EQ(event.counts.num_prompt, static_cast<int>(live.prompt.size()));
  EXPECT_LT(event.counts.num_cached, event.counts.num_prompt + (event.choice > 0))
      << "a hit covers the last token";
  if (event.choice == 0 && (choice.num_output == 1 || event.finish != FinishReason::kNone))
    invariants_->siblings_ready(&live);
  if (event.finish == FinishReason::kNone) return;
  check_ended(&live, &choice, event);
  invariants_->ended(&choice);
  ++live.num_ended;
  if (!live.ended()) return;
  deadlines_.erase({live.deadline, event.id});
  held_.erase(event.id);
  live_.erase(it);
}

void World::take_token(const Live& live, Choice* choice, const TokenEvent& event, std::size_t i) {
  const TokenId token = event.out.token[i];
  ASSERT_LT(choice->num_output, choice->expected.tokens.size()) << "more tokens than the oracle has";
  EXPECT_EQ(token, choice->expected.tokens[choice->num_output])
      << "request " << event.id << " choice " << event.choice << " output " << choice->num_output;
  const int num_logprobs = live.params.num_logprobs;
  EXPECT_EQ(event.out.logprob.size(), num_logprobs >= 0 ? event.out.token.size() : 0u);
  if (num_logprobs >= 0) {
    EXPECT_EQ(event.out.logprob[i], config_.model.logprob(choice->prefix, token));
    ASSERT_EQ(event.out.top_begin.size(), event.out.token.size() + 1);
    ASSERT_EQ(event.out.top_begin[i + 1] - event.out.top_begin[i], num_logprobs);
    for (int k = 0; k < num_logprobs; ++k) {
      EXPECT_EQ(event.out.top[static_cast<std::size_t>(event.out.top_begin[i] + k)].id,
                config_.model.top(choice->prefix, k).id);
    }
  }
  choice->prefix = config_.model.extend(choice->prefix, token);
  ++choice->num_output;
  ++counts_->tokens;
  invariants_->took_token(*choice);
}

void World::take_prompt_rows(Live* live, const TokenEvent& event) {
  const TokenRows& rows = event.prompt;
  if (rows.token.empty()) return;
  EXPECT_EQ(event.choice, 0);
  ASSERT_GE(live->params.num_prompt_logprobs, 0) << "it was not asked for";
  ASSERT_EQ(rows.top_begin.size(), rows.token.size() + 1);
  for (std::size_t i = 0; i < rows.token.size(); ++i) {
    const std::size_t position = ++live->num_prompt_reported;
    ASSERT_LT(position, live->prompt.size()) << "a prompt position is reported twice";
    EXPECT_EQ(rows.token[i], live->prompt[position]);
    live->prompt_prefix = config_.model.extend(live->prompt_prefix ^ content_at(event.id, position - 1),
                                               live->prompt[position - 1]);
    EXPECT_EQ(rows.logprob[i], config_.model.logprob(live->prompt_prefix, rows.token[i]));
    EXPECT_EQ(rows.top_begin[i + 1] - rows.top_begin[i], live->params.num_prompt_logprobs);
    ++counts_->prompt_logprobs;
  }
}

void World::check_ended(Live* live, Choice* choice, const TokenEvent& event) {
  choice->finish = event.finish;
  const Outcome& expected = choice->expected;
  if (dice_.chance(0.3)) remember(*live, *choice);
  if (event.finish == FinishReason::kAbort || event.finish == FinishReason::kTimeout) {
    ++(event.finish == FinishReason::kAbort ? counts_->aborts : counts_->timeouts);
    EXPECT_TRUE(event.finish == FinishReason::kAbort ? live->cancelled : live->deadline <= now_)
        << "aborted without a reason";
    return;
  }
  if (event.no_memory) {
    ++counts_->errors;
    EXPECT_TRUE(lost_step_ && event.finish == FinishReason::kError) << "memory has not lacked";
    return;
  }
  counts_->stops += event.finish == FinishReason::kStop;
  counts_->lengths += event.finish == FinishReason::kLength;
  counts_->errors += event.finish == FinishReason::kError;
  counts_->rejections += event.finish == FinishReason::kError && event.choice == 0 &&
                         static_cast<int32_t>(live->prompt.size()) >= max_len_;
  EXPECT_EQ(event.finish, expected.finish);
  EXPECT_EQ(event.stop_token, expected.stop_token);
  EXPECT_EQ(event.error.empty(), event.finish != FinishReason::kError);
  EXPECT_EQ(choice->num_output, expected.tokens.size()) << "request " << event.id;
  const bool wants_prompt = event.choice == 0 && live->params.num_prompt_logprobs >= 0;
  if (wants_prompt && event.finish != FinishReason::kError) {
    EXPECT_EQ(live->num_prompt_reported + 1, live->prompt.size()) << "prompt positions are missing";
  }
}

// Before the events of a commit are taken.
void World::check_step_stats() {
  ++commits_;
  const StepStats& step = scheduler_->last_step();
  int num_tokens = 0;
  for (const TokenEvent& event : events_) {
    num_tokens += static_cast<int>(event.out.token.size());
    auto it = live_.find(event.id);
    if (it == live_.end()) continue;  // take_event() will tell
    uint64_t& last = it->second.choices.at(static_cast<std::size_t>(event.choice)).event_step;
    EXPECT_NE(std::exchange(last, commits_), commits_) << "two events of one choice in a commit";
  }
  EXPECT_EQ(step.num_generated_tokens, num_tokens);
  EXPECT_EQ(step.num_generated_tokens,
            static_cast<int>(step.first_token_s.size() + step.inter_token_s.size()));
}

void World::take_finished() {
  finished_.clear();
  scheduler_->take_finished(&finished_);
  for (const FinishedStats& stats : finished_) {
    ++num_finished_stats_;
    num_last_of_request_ += stats.last_of_request;
    if (stats.counts.num_output == 0) continue;
    EXPECT_TRUE(stats.timings.arrival <= stats.timings.scheduled &&
                stats.timings.scheduled <= stats.timings.first_token &&
                stats.timings.first_token <= stats.timings.last_token &&
                stats.timings.last_token <= stats.timings.finished)
        << "timings out of order";
  }
}

// The events tell exactly what the first group's blocks hold.
void World::take_kv_events() {
  kv_events_.clear();
  kv_->take_events(&kv_events_);
  if (!config_.cache.record_events) return;
  for (const KvEvent& event : kv_events_) {
    ++counts_->kv_events;
    if (event.kind == KvEvent::Kind::kCleared) told_.clear();
    const bool stored = event.kind == KvEvent::Kind::kStored;
    for (const BlockKey& key : event.keys) {
      const bool changed = stored ? told_.insert(key).second : told_.erase(key) > 0;
      EXPECT_TRUE(changed) << "an event says what was known";
    }
  }
  if (config_.groups.size() == 1) {
    EXPECT_EQ(static_cast<int32_t>(told_.size()), kv_->num_cached()) << "events and cache disagree";
  }
}

void World::take_ended_moves() {
  ended_moves_.clear();
  runner_->take_ended_moves(&ended_moves_);
  kv_->moves_ended(ended_moves_);
  for (const OffloadMoveEnd& end : ended_moves_) counts_->failed_moves += !end.ok;
}

void World::count_moves(const StepPlan& plan) {
  for (const OffloadMove& move : plan.moves) {
    counts_->stores += move.kind == OffloadMoveKind::kStore;
    counts_->loads += move.kind == OffloadMoveKind::kLoad;
    counts_->spills += move.kind == OffloadMoveKind::kSpill;
    counts_->fetches += move.kind == OffloadMoveKind::kFetch;
    counts_->drops += move.kind == OffloadMoveKind::kDrop;
  }
}

}  // namespace pagoda::sim
