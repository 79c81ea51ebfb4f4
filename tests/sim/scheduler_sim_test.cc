// A seeded world around Scheduler + KvManager: random requests arrive, are cancelled, held and expire, over
// caches so small that sequences push each other out, while a FakeRunner distrusts every plan. Each choice's
// tokens are compared with an oracle that never heard of batches or blocks. A failure names its seed;
// PAGODA_SIM_SEED runs that one alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/rng.h"
#include "kv/kv_manager.h"
#include "schedule/scheduler.h"
#include "tests/testing/fake_runner.h"

namespace pagoda {
namespace {

using testing::FakeModel;
using testing::FakeRunner;

constexpr TokenId kEos = 0, kOtherEos = 1;

struct Counts {
  int64_t steps = 0, choices = 0, tokens = 0, preemptions = 0, copies = 0, shared_samples = 0;
  int64_t stops = 0, lengths = 0, aborts = 0, errors = 0, prompt_logprobs = 0, windowed_worlds = 0;
  int64_t finished_from_above = 0;
};

class World {
 public:
  World(uint64_t seed, int num_requests, Counts* counts)
      : random_(seed), num_left_(num_requests), counts_(counts) {
    config_.max_num_seqs = pick(1, 8);
    config_.max_num_batched_tokens = pick(1, 3) == 1 ? pick(1, 6) : pick(7, 60);
    config_.max_model_len = pick(4, 60);
    config_.long_prefill_token_threshold = chance(0.3) ? pick(1, 9) : 0;
    config_.max_overtakes = pick(0, 6);
    model_ = {.seed = seed, .vocab_size = pick(12, 60), .bad_one_in = chance(0.3) ? 150u : 0u};
    std::vector<KvGroupSpec> groups{{.block_size = pick(1, 8), .window = 0}};
    if (chance(0.4)) groups.push_back({.block_size = groups[0].block_size, .window = pick(1, 12)});
    if (chance(0.1)) groups.erase(groups.begin(), groups.end() - 1);  // perhaps windows only
    counts_->windowed_worlds += groups.back().window > 0;
    int num_blocks = 2 + pick(1, chance(0.7) ? 20 : 100);
    kv_ = std::make_unique<KvManager>(groups, num_blocks);
    scheduler_ = std::make_unique<Scheduler>(config_, kv_.get());
    runner_ = std::make_unique<FakeRunner>(model_, groups, num_blocks, config_.max_num_seqs);
    max_len_ = scheduler_->max_sequence_len();
  }

  // Stops at the first failure.
  void run() {
    while (num_left_ > 0 || !live_.empty()) {
      arrive();
      disturb();
      finish_somebody();
      ASSERT_NO_FATAL_FAILURE(step());
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_EQ(kv_->num_free(), kv_->num_blocks() - 1);
    EXPECT_FALSE(scheduler_->has_work());
    SchedulerStats stats = scheduler_->stats();
    EXPECT_EQ(stats.num_running + stats.num_waiting + stats.num_deferred, 0);
    EXPECT_EQ(num_finished_stats_, num_choices_);
    EXPECT_EQ(num_last_of_request_, static_cast<int64_t>(next_id_) - 1);
    counts_->steps += num_steps_;
    counts_->choices += num_choices_;
    counts_->preemptions += static_cast<int64_t>(stats.num_preemptions);
  }

 private:
  struct Outcome {  // what a choice should give, were it alone
    std::vector<TokenId> tokens;
    FinishReason finish = FinishReason::kNone;
    TokenId stop_token = -1;
  };
  struct Choice {
    Outcome expected;
    std::vector<TokenId> tokens;
    FinishReason finish = FinishReason::kNone;
    int64_t bound = -1;  // the step by which it must have ended; -1: not ready yet
  };
  struct Live {
    std::vector<TokenId> prompt;
    SamplingParams params;
    std::vector<Choice> choices;
    Time deadline = Time::max();
    bool held = false, cancelled = false;
    std::vector<TokenId> prompt_reported;
    bool ended() const {
      return std::all_of(choices.begin(), choices.end(),
                         [](const Choice& choice) { return choice.finish != FinishReason::kNone; });
    }
  };

  int pick(int low, int high) {
    return low + static_cast<int>(random_.below(static_cast<uint64_t>(high - low + 1)));
  }
  bool chance(double probability) { return random_.uniform() < probability; }

  std::unique_ptr<Request> make_request() {
    auto request = std::make_unique<Request>();
    request->id = next_id_++;
    int longest = chance(0.05) ? config_.max_model_len + 3 : std::max(max_len_ - 1, 1);
    int num_prompt = pick(1, chance(0.5) ? std::min(longest, 8) : longest);
    for (int i = 0; i < num_prompt; ++i) request->prompt.push_back(pick(0, chance(0.8) ? 2 : 9));
    SamplingParams& params = request->params;
    params.seed = random_.next();
    params.max_tokens = chance(0.06) ? 0 : pick(1, chance(0.3) ? 3 : 40);
    params.min_tokens = chance(0.3) ? pick(0, params.max_tokens) : 0;
    params.ignore_eos = chance(0.3);
    params.eos_token_ids = {kEos};
    if (chance(0.5)) params.eos_token_ids.push_back(kOtherEos);
    if (chance(0.5)) params.stop_token_ids = {2, chance(0.5) ? kEos : 3};
    params.num_logprobs = chance(0.3) ? pick(0, 3) : -1;
    params.num_prompt_logprobs = chance(0.3) ? pick(0, 2) : -1;
    request->read_prefix_cache = params.num_prompt_logprobs < 0;
    request->n = chance(0.35) ? pick(2, 10) : 1;
    request->arrival = now_;
    if (chance(0.08)) request->deadline = now_ + std::chrono::milliseconds(pick(0, 60));
    if (chance(0.1))
      request->holds = static_cast<uint8_t>(chance(0.5) ? kHoldLora : kHoldLora | kHoldGrammar);
    return request;
  }

  // The request's own words again, one token after the other.
  Outcome oracle(const Live& live, int choice) const {
    const SamplingParams& params = live.params;
    int num_prompt = static_cast<int>(live.prompt.size());
    if (num_prompt + (params.max_tokens > 0 ? 1 : 0) > max_len_) return {{}, FinishReason::kError};
    if (params.max_tokens == 0) return {{}, FinishReason::kLength};
    Outcome out;
    uint64_t prefix = 0, seed = params.seed + static_cast<uint64_t>(choice);
    for (TokenId token : live.prompt) prefix = model_.extend(prefix, token);
    while (true) {
      int count = static_cast<int>(out.tokens.size());
      if (model_.is_bad(prefix, seed)) return {out.tokens, FinishReason::kError};
      TokenId token = model_.sample(prefix, seed, count);
      out.tokens.push_back(token);
      ++count;
      bool is_eos = std::count(params.eos_token_ids.begin(), params.eos_token_ids.end(), token) > 0;
      bool is_stop = std::count(params.stop_token_ids.begin(), params.stop_token_ids.end(), token) > 0;
      if (count >= params.min_tokens && is_eos && !params.ignore_eos)
        return {out.tokens, FinishReason::kStop};
      if (count >= params.min_tokens && is_stop) return {out.tokens, FinishReason::kStop, token};
      if (count == params.max_tokens || num_prompt + count == max_len_)
        return {out.tokens, FinishReason::kLength};
      prefix = model_.extend(prefix, token);
    }
  }

  void arrive() {
    while (num_left_ > 0 && chance(live_.size() < 3 ? 0.7 : 0.25)) {
      --num_left_;
      auto request = make_request();
      Live& live = live_[request->id];
      live.prompt = request->prompt;
      live.params = request->params;
      live.deadline = request->deadline;
      live.held = request->holds != kHoldNone;
      live.choices.resize(static_cast<std::size_t>(request->n));
      num_choices_ += request->n;
      for (int i = 0; i < request->n; ++i)
        live.choices[static_cast<std::size_t>(i)].expected = oracle(live, i);
      if (!live.held) live.choices[0].bound = bound();
      scheduler_->submit(std::move(request), now_, &events_);
      take_events();
    }
  }

  // Cancels somebody, ends somebody's hold.
  void disturb() {
    if (chance(0.03) && !live_.empty()) {
      auto it = std::next(live_.begin(), pick(0, static_cast<int>(live_.size()) - 1));
      RequestId id = it->first;
      it->second.cancelled = true;
      scheduler_->cancel(id, now_, &events_);
      take_events();
      EXPECT_FALSE(live_.contains(id)) << "a cancelled request goes on";
      EXPECT_EQ(scheduler_->find(id), nullptr);
    }
    scheduler_->cancel(next_id_ + 1000, now_, &events_);  // an id that nobody knows
    for (auto& [id, live] : live_) {
      if (live.held && chance(num_left_ == 0 ? 0.5 : 0.05)) release(id, &live);
    }
  }

  // Somebody's reader has found a stop string.
  void finish_somebody() {
    if (!chance(0.05) || live_.empty()) return;
    auto it = std::next(live_.begin(), pick(0, static_cast<int>(live_.size()) - 1));
    int number = pick(0, static_cast<int>(it->second.choices.size()) - 1);
    Choice& choice = it->second.choices[static_cast<std::size_t>(number)];
    if (choice.finish == FinishReason::kNone && !choice.tokens.empty()) {
      choice.expected = {choice.tokens, FinishReason::kStop};
      ++counts_->finished_from_above;
    }
    scheduler_->finish(it->first, number, now_, &events_);
    scheduler_->check();
    take_events();
  }

  void release(RequestId id, Live* live) {
    if (scheduler_->find(id)->holds == (kHoldLora | kHoldGrammar)) scheduler_->release_hold(id, kHoldGrammar);
    scheduler_->release_hold(id, kHoldLora);
    live->held = false;
    // It takes its old place, before some who thought that it was behind them.
    int64_t more = steps_alone() * static_cast<int64_t>(live->choices.size());
    for (auto& [other_id, other] : live_) {
      for (Choice& choice : other.choices) {
        if (choice.bound >= 0) choice.bound += more;
      }
    }
    live->choices[0].bound = bound();
  }

  // The oldest running sequence gets a chunk of its prompt or a token in every step and is never pushed out,
  // so one that has just become ready ends before all who are here, each after the other, would have ended.
  int64_t steps_alone() const {
    int chunk = (config_.max_num_batched_tokens + 1) / 2;  // the other half may be the shortest prompt's
    if (config_.long_prefill_token_threshold > 0)
      chunk = std::min(chunk, config_.long_prefill_token_threshold);
    return (max_len_ + chunk - 1) / chunk + max_len_ + 1;
  }
  int64_t bound() const {
    int64_t num_ahead = 0;
    for (const auto& [id, live] : live_)
      num_ahead += live.held ? 0 : static_cast<int64_t>(live.choices.size());
    return num_steps_ + (num_ahead + 1 + config_.max_overtakes) * steps_alone();
  }

  void step() {
    now_ += std::chrono::milliseconds(1);
    StepPlan& plan = scheduler_->plan(now_, &events_);
    scheduler_->check();
    take_events();
    for (const auto& [id, live] : live_) EXPECT_GT(live.deadline, now_) << "a deadline was missed";
    if (plan.empty()) {
      for (const auto& [id, live] : live_) EXPECT_TRUE(live.held) << "request " << id << " waits for nothing";
      return;
    }
    ++num_steps_;
    EXPECT_LE(plan.num_tokens, config_.max_num_batched_tokens);
    EXPECT_LE(plan.work.size(), static_cast<std::size_t>(config_.max_num_seqs));
    if (config_.long_prefill_token_threshold > 0) {
      for (const RowWork& work : plan.work) {
        EXPECT_LE(work.num_scheduled_tokens, config_.long_prefill_token_threshold);
      }
    }
    counts_->copies += static_cast<int64_t>(plan.copies.size());
    for (std::size_t i = 1; i < plan.samples.size(); ++i) {
      counts_->shared_samples += plan.samples[i].flat_index == plan.samples[i - 1].flat_index;
    }
    ASSERT_TRUE(runner_->launch(plan).ok());
    StepResult result;
    const Status done = runner_->wait(plan.step_id, &result);
    ASSERT_TRUE(done.ok()) << done.message();
    if (chance(0.02)) disturb();  // also while a step is in flight
    scheduler_->commit(plan, result, now_, &events_);
    scheduler_->check();
    check_step_stats();
    take_events();
  }

  void check_step_stats() {
    const StepStats& step = scheduler_->last_step();
    EXPECT_EQ(step.num_generated_tokens,
              static_cast<int>(step.first_token_s.size() + step.inter_token_s.size()));
    int num_tokens = 0;
    std::map<std::pair<RequestId, int32_t>, int> per_choice;
    for (const TokenEvent& event : events_) {
      num_tokens += static_cast<int>(event.out.token.size());
      EXPECT_EQ(++per_choice[std::pair(event.id, event.choice)], 1) << "two events of one choice in a commit";
    }
    EXPECT_EQ(step.num_generated_tokens, num_tokens);
    std::vector<FinishedStats> finished;
    scheduler_->take_finished(&finished);
    for (const FinishedStats& stats : finished) {
      ++num_finished_stats_;
      num_last_of_request_ += stats.last_of_request;
      if (stats.num_output == 0) continue;
      EXPECT_LE(stats.arrival, stats.scheduled);
      EXPECT_LE(stats.scheduled, stats.first_token);
      EXPECT_LE(stats.first_token, stats.last_token);
      EXPECT_LE(stats.last_token, stats.finished);
    }
  }

  void take_events() {
    for (const TokenEvent& event : events_) take_event(event);
    events_.clear();
    std::vector<FinishedStats> finished;
    scheduler_->take_finished(&finished);
    num_finished_stats_ += static_cast<int64_t>(finished.size());
    for (const FinishedStats& stats : finished) num_last_of_request_ += stats.last_of_request;
    for (const auto& [id, live] : live_) {
      for (const Choice& choice : live.choices) {
        bool late = choice.finish == FinishReason::kNone && choice.bound >= 0 && num_steps_ > choice.bound;
        EXPECT_FALSE(late) << "request " << id << " starves";
      }
    }
    std::erase_if(live_, [](const auto& entry) { return entry.second.ended(); });
  }

  void take_event(const TokenEvent& event) {
    auto it = live_.find(event.id);
    ASSERT_NE(it, live_.end()) << "an event of an unknown or ended request";
    Live& live = it->second;
    Choice& choice = live.choices.at(static_cast<std::size_t>(event.choice));
    ASSERT_EQ(choice.finish, FinishReason::kNone) << "an event after the last";
    EXPECT_FALSE(live.held && !live.cancelled && event.finish != FinishReason::kAbort &&
                 event.finish != FinishReason::kTimeout && event.finish != FinishReason::kError)
        << "held, but it ran";
    take_prompt_rows(&live, event);
    ASSERT_LE(event.out.token.size(), 1u);
    for (std::size_t i = 0; i < event.out.token.size(); ++i) take_token(live, &choice, event, i);
    EXPECT_EQ(event.num_output, static_cast<int>(choice.tokens.size()));
    EXPECT_EQ(event.num_prompt, static_cast<int>(live.prompt.size()));
    bool first = event.choice == 0 && (choice.tokens.size() == 1 || event.finish != FinishReason::kNone);
    for (Choice& other : live.choices) {
      if (first && other.bound < 0) other.bound = bound();
    }
    if (event.finish != FinishReason::kNone) check_ended(live, &choice, event);
  }

  void take_token(const Live& live, Choice* choice, const TokenEvent& event, std::size_t i) {
    uint64_t prefix = 0;
    for (TokenId token : live.prompt) prefix = model_.extend(prefix, token);
    for (TokenId token : choice->tokens) prefix = model_.extend(prefix, token);
    choice->tokens.push_back(event.out.token[i]);
    ++counts_->tokens;
    int num_logprobs = live.params.num_logprobs;
    EXPECT_EQ(event.out.logprob.size(), num_logprobs >= 0 ? event.out.token.size() : 0u);
    if (num_logprobs < 0) return;
    EXPECT_EQ(event.out.logprob[i], model_.logprob(prefix, event.out.token[i]));
    ASSERT_EQ(event.out.top_begin.size(), event.out.token.size() + 1);
    ASSERT_EQ(event.out.top_begin[i + 1] - event.out.top_begin[i], num_logprobs);
    for (int k = 0; k < num_logprobs; ++k) {
      EXPECT_EQ(event.out.top[static_cast<std::size_t>(event.out.top_begin[i] + k)].id,
                model_.top(prefix, k).id);
    }
  }

  void take_prompt_rows(Live* live, const TokenEvent& event) {
    const TokenRows& rows = event.prompt;
    if (rows.token.empty()) return;
    EXPECT_EQ(event.choice, 0);
    ASSERT_GE(live->params.num_prompt_logprobs, 0) << "nobody asked";
    ASSERT_EQ(rows.top_begin.size(), rows.token.size() + 1);
    for (std::size_t i = 0; i < rows.token.size(); ++i) {
      std::size_t position = live->prompt_reported.size() + 1;
      ASSERT_LT(position, live->prompt.size()) << "a prompt position is reported twice";
      EXPECT_EQ(rows.token[i], live->prompt[position]);
      uint64_t prefix = 0;
      for (std::size_t p = 0; p < position; ++p) prefix = model_.extend(prefix, live->prompt[p]);
      EXPECT_EQ(rows.logprob[i], model_.logprob(prefix, rows.token[i]));
      EXPECT_EQ(rows.top_begin[i + 1] - rows.top_begin[i], live->params.num_prompt_logprobs);
      live->prompt_reported.push_back(rows.token[i]);
      ++counts_->prompt_logprobs;
    }
  }

  void check_ended(const Live& live, Choice* choice, const TokenEvent& event) {
    choice->finish = event.finish;
    const Outcome& expected = choice->expected;
    if (event.finish == FinishReason::kAbort || event.finish == FinishReason::kTimeout) {
      ++counts_->aborts;
      EXPECT_TRUE(live.cancelled || live.deadline <= now_) << "aborted without a reason";
      ASSERT_LE(choice->tokens.size(), expected.tokens.size());
      EXPECT_TRUE(std::equal(choice->tokens.begin(), choice->tokens.end(), expected.tokens.begin()));
      return;
    }
    counts_->stops += event.finish == FinishReason::kStop;
    counts_->lengths += event.finish == FinishReason::kLength;
    counts_->errors += event.finish == FinishReason::kError;
    EXPECT_EQ(event.finish, expected.finish);
    EXPECT_EQ(event.stop_token, expected.stop_token);
    EXPECT_EQ(event.error.empty(), event.finish != FinishReason::kError);
    EXPECT_EQ(choice->tokens, expected.tokens) << "request " << event.id << " choice " << event.choice;
    bool wants_prompt = event.choice == 0 && live.params.num_prompt_logprobs >= 0;
    if (wants_prompt && event.finish != FinishReason::kError) {
      EXPECT_EQ(live.prompt_reported.size() + 1, live.prompt.size()) << "prompt positions are missing";
    }
  }

  SplitMix64 random_;
  int num_left_;
  Counts* counts_;
  SchedulerConfig config_;
  FakeModel model_;
  int max_len_ = 0;
  std::unique_ptr<KvManager> kv_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<FakeRunner> runner_;
  Time now_{std::chrono::seconds(1)};
  RequestId next_id_ = 1;
  int64_t num_steps_ = 0, num_choices_ = 0, num_finished_stats_ = 0, num_last_of_request_ = 0;
  std::map<RequestId, Live> live_;
  std::vector<TokenEvent> events_;
};

TEST(SchedulerSim, AnswersDoNotDependOnTheWayThere) {
  std::optional<std::string> only = environment("PAGODA_SIM_SEED");
  uint64_t first = only ? std::stoull(*only) : 1, last = only ? first : 120;
  Counts counts;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed) +
                 "; run it alone with PAGODA_SIM_SEED=" + std::to_string(seed));
    World(seed, 60, &counts).run();
    if (HasFailure()) return;
  }
  RecordProperty("steps", std::to_string(counts.steps));
  RecordProperty("preemptions", std::to_string(counts.preemptions));
  if (only) return;
  // The worlds are wild enough to be worth the while.
  EXPECT_GT(counts.choices, 7200);
  EXPECT_GT(counts.preemptions, 1000);
  EXPECT_GT(counts.copies, 300);
  EXPECT_GT(counts.shared_samples, 500);
  EXPECT_GT(counts.stops, 1000);
  EXPECT_GT(counts.lengths, 1000);
  EXPECT_GT(counts.aborts, 300);
  EXPECT_GT(counts.errors, 100);
  EXPECT_GT(counts.prompt_logprobs, 1000);
  EXPECT_GT(counts.windowed_worlds, 20);
  EXPECT_GT(counts.finished_from_above, 150);
}

}  // namespace
}  // namespace pagoda
