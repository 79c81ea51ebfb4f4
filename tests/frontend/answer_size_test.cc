#include "frontend/answer_size.h"

#include <gtest/gtest.h>

#include "tests/frontend/asking.h"

namespace pagoda {
namespace {

using testing::ask;
using testing::chat_request;
using testing::Question;
using testing::ScriptedEngine;
using testing::text_request;

TEST(AnswerSize, CountsWhatIsKept) {
  struct Case {
    const char* what;
    int32_t n, num_tokens, top, prompt_top;  // num_tokens: at least; top -1: none are asked for
    bool is_chat, stream, echo;
    double expected;
  } cases[] = {
      {"no log-probabilities", 1000, 1000, -1, -1, true, false, false, 0},
      {"of the tokens alone", 3, 10, 0, -1, true, false, false, 30},
      {"with alternatives", 1500, 100, 20, -1, true, false, false, 1500 * 100 * 21},
      {"a stream is not kept", 1500, 100, 20, -1, true, true, false, 0},
      {"of the prompt of a chat, once", 20, 10, -1, 4, true, false, false, 7 * 5},
      {"of the prompt of a text, in every choice", 2, 10, -1, 4, false, false, false, 2 * 7 * 5},
      {"of an echo, in every choice", 2, 10, -1, 4, true, false, true, 2 * 7 * 5},
      {"of an echo in a stream, too", 2, 10, 0, 4, false, true, true, 2 * 7 * 5},
      {"of both", 2, 10, 0, 4, false, false, false, 2 * (7 * 5 + 10)},
      {"no number overflows", INT32_MAX, INT32_MAX, INT32_MAX - 1, -1, true, false, false,
       2147483647. * 2147483647. * 2147483647.},
  };
  for (const Case& one : cases) {
    ResponseShape shape;
    shape.n = one.n;
    shape.stream = one.stream;
    shape.echo = one.echo;
    SamplingParams params;
    params.max_tokens = one.num_tokens;
    params.num_logprobs = one.top;
    params.num_prompt_logprobs = one.prompt_top;
    params.ignore_eos = true;
    EXPECT_DOUBLE_EQ(least_logprobs(shape, one.is_chat, params, 7), one.expected) << one.what;
    params.ignore_eos = false;
    params.min_tokens = one.num_tokens;
    params.max_tokens = INT32_MAX;  // it may end before
    EXPECT_DOUBLE_EQ(least_logprobs(shape, one.is_chat, params, 7), one.expected) << one.what;
  }
}

// One choice with all the alternatives that --max-logprobs allows by default may be 56k tokens long.
TEST(AnswerSize, TheBoundIsInclusive) {
  EXPECT_TRUE(check_num_logprobs(56000.0 * 21, kAnswerLogprobsMax).ok());
  EXPECT_TRUE(check_num_logprobs(kAnswerLogprobsMax, kAnswerLogprobsMax).ok());
  const Status status = check_num_logprobs(kAnswerLogprobsMax + 1.0, kAnswerLogprobsMax);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.param(), "logprobs");
  for (const char* part : {"1198372", "`n`", "`top_logprobs`", "`prompt_logprobs`", "stream"})
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
}

TEST(AnswerSize, TooLargeAnswersAreRefusedBeforeTheyBegin) {
  ScriptedEngine scripted;
  scripted.model.max_logprobs = -1;
  scripted.config.scheduler.max_num_queued_reqs = 1000;
  scripted.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(2, 'a'); };
  scripted.start();
  Question many = chat_request();
  many.n = 100;
  many.num_logprobs = kAllLogprobs;  // 262
  many.sampling.max_tokens = 200;
  EXPECT_TRUE(ask(&scripted, many).error.ok());
  many.sampling.ignore_eos = true;
  EXPECT_EQ(ask(&scripted, many).error.param(), "logprobs");
  many.sampling.max_tokens = 40;
  EXPECT_TRUE(ask(&scripted, many).error.ok());
  many.sampling.max_tokens = 200;
  many.stream = true;
  EXPECT_TRUE(ask(&scripted, many).error.ok());

  Question prompts = text_request();
  prompts.prompt = std::vector<TextPrompt>(100, std::vector<TokenId>(200, 'a'));
  prompts.num_prompt_logprobs = kAllLogprobs;
  prompts.sampling.max_tokens = 1;
  EXPECT_EQ(ask(&scripted, prompts).error.param(), "logprobs");
}

}  // namespace
}  // namespace pagoda
