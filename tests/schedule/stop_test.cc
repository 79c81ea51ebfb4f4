#include "schedule/stop.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace pagoda {
namespace {

constexpr TokenId kEos = 7, kStop = 8, kWord = 9;

struct Case {
  std::string name;
  std::vector<TokenId> output;
  int min_tokens = 0, max_tokens = 10, max_len = 100;
  bool ignore_eos = false;
  std::vector<TokenId> eos = {kEos}, stop = {kStop};
  FinishReason finish = FinishReason::kNone;
  TokenId stop_token = -1;
};

class CheckStop : public ::testing::TestWithParam<Case> {};

TEST_P(CheckStop, AsVllmDoes) {
  const Case& c = GetParam();
  RequestState state;
  state.request = std::make_unique<Request>();
  state.request->prompt = {1, 2, 3};
  SamplingParams& params = state.request->params;
  params.min_tokens = c.min_tokens;
  params.max_tokens = c.max_tokens;
  params.ignore_eos = c.ignore_eos;
  params.eos_token_ids = c.eos;
  params.stop_token_ids = c.stop;
  Sequence seq;
  seq.request = &state;
  seq.prompt = state.request->prompt;
  seq.reserve_output(c.max_len, 16, 1);
  seq.output = c.output;
  seq.num_computed_ever = 2 + static_cast<int>(c.output.size());
  StopVerdict verdict = check_stop(seq, c.max_len);
  EXPECT_EQ(verdict.finish, c.finish);
  EXPECT_EQ(verdict.stop_token, c.stop_token);
}

INSTANTIATE_TEST_SUITE_P(
    Table, CheckStop,
    ::testing::Values(
        Case{.name = "goes_on", .output = {kWord}},
        Case{.name = "eos", .output = {kWord, kEos}, .finish = FinishReason::kStop},
        Case{.name = "only_the_newest_token_counts", .output = {kEos, kWord}},
        Case{.name = "eos_ignored", .output = {kEos}, .ignore_eos = true},
        Case{.name = "second_eos", .output = {5}, .eos = {5, kEos}, .finish = FinishReason::kStop},
        Case{.name = "stop_id", .output = {kStop}, .finish = FinishReason::kStop, .stop_token = kStop},
        Case{.name = "one_of_many_stop_ids",
             .output = {kStop},
             .stop = {1, 3, kStop, 20, 30},
             .finish = FinishReason::kStop,
             .stop_token = kStop},
        Case{.name = "stop_id_under_ignore_eos",
             .output = {kStop},
             .ignore_eos = true,
             .finish = FinishReason::kStop,
             .stop_token = kStop},
        Case{.name = "eos_before_stop_id", .output = {kEos}, .stop = {kEos}, .finish = FinishReason::kStop},
        Case{.name = "eos_as_stop_id_under_ignore_eos",
             .output = {kEos},
             .ignore_eos = true,
             .stop = {kEos},
             .finish = FinishReason::kStop,
             .stop_token = kEos},
        Case{.name = "eos_below_min_tokens", .output = {kWord, kEos}, .min_tokens = 3},
        Case{.name = "eos_at_min_tokens",
             .output = {kWord, kEos},
             .min_tokens = 2,
             .finish = FinishReason::kStop},
        Case{.name = "stop_id_below_min_tokens", .output = {kStop}, .min_tokens = 2},
        Case{
            .name = "max_tokens", .output = {kWord, kWord}, .max_tokens = 2, .finish = FinishReason::kLength},
        Case{.name = "stop_wins_over_max_tokens",
             .output = {kWord, kEos},
             .max_tokens = 2,
             .finish = FinishReason::kStop},
        Case{.name = "max_tokens_below_min_tokens",
             .output = {kWord, kEos},
             .min_tokens = 5,
             .max_tokens = 2,
             .finish = FinishReason::kLength},
        Case{.name = "below_max_len", .output = {kWord}, .max_len = 5},
        Case{.name = "max_len", .output = {kWord, kWord}, .max_len = 5, .finish = FinishReason::kLength},
        Case{.name = "prompt_only_unfinished", .output = {}, .max_tokens = 0}),
    [](const auto& test) { return test.param.name; });

TEST(CheckStop, PromptOnlyEndsWhenItIsComputed) {
  RequestState state;
  state.request = std::make_unique<Request>();
  state.request->prompt = {1, 2, 3};
  state.request->params.max_tokens = 0;
  Sequence seq;
  seq.request = &state;
  seq.prompt = state.request->prompt;
  seq.num_computed_ever = 3;
  EXPECT_EQ(check_stop(seq, 100).finish, FinishReason::kLength);
}

}  // namespace
}  // namespace pagoda
