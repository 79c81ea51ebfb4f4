#include "frontend/sampling.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/frontend/asking.h"

namespace pagoda {
namespace {

using testing::ask;
using testing::bytes_of;
using testing::chat_request;
using testing::Question;
using testing::ScriptedEngine;
using testing::text_request;
using testing::Whole;

TEST(Intake, ContextLength) {
  ScriptedEngine scripted;
  scripted.start();
  struct Case {
    std::size_t prompt;
    std::optional<int64_t> max_tokens;
    int64_t truncate;
    const char* param;  // null: accepted
    int num_prompt;
  } cases[] = {
      {255, 1, 0, nullptr, 255},
      {256, 1, 0, "", 0},
      {257, 1, 0, "input_tokens", 0},
      {256, {}, 0, "", 0},
      {255, {}, 0, nullptr, 255},
      {250, 6, 0, nullptr, 250},
      {250, 7, 0, nullptr, 250},  // fitted into what is left
      {1, 256, 0, nullptr, 1},
      {255, 256, 0, nullptr, 255},
      {1, 257, 0, "max_tokens", 0},  // more than any prompt leaves
      {300, 257, 0, "max_tokens", 0},
      {1, std::numeric_limits<int64_t>::max(), 0, "max_tokens", 0},
      {5000, 8, 248, nullptr, 248},
      // To the context less one, however much is asked for: that is then fitted into what is left.
      {5000, 8, -1, nullptr, 255},
      {5000, 256, -1, nullptr, 255},
      {20, 248, -1, nullptr, 20},
      {20, 256, -1, nullptr, 20},
      {256, 1, -1, nullptr, 255},
      {255, 1, -1, nullptr, 255},
      {5000, {}, -1, nullptr, 255},
      {3, 8, -1, nullptr, 3},
      {3, 8, 257, "truncate_prompt_tokens", 0},
      {256, 8, 256, "", 0},
      {5000, 9, 248, nullptr, 248},
  };
  for (const Case& one : cases) {
    Question request = text_request();
    request.prompt = std::vector<TextPrompt>{std::vector<TokenId>(one.prompt, 'a')};
    request.sampling.max_tokens = one.max_tokens;
    request.truncate_prompt_tokens = one.truncate;
    Whole whole = ask(&scripted, request);
    if (one.param != nullptr) {
      ASSERT_FALSE(whole.error.ok()) << one.prompt;
      EXPECT_EQ(whole.error.code(), StatusCode::kInvalidArgument);
      EXPECT_EQ(whole.error.param(), one.param) << one.prompt << " " << whole.error.message();
      EXPECT_NE(whole.error.message().find("256"), std::string::npos) << whole.error.message();
    } else {
      ASSERT_TRUE(whole.error.ok()) << whole.error.message();
      EXPECT_EQ(whole.choices.at({0, 0}).counts.num_prompt, one.num_prompt);
    }
  }
  // Refused by its bytes, before tokenizing.
  Whole whole = ask(&scripted, text_request(std::string(1 << 20, 'x')));
  EXPECT_NE(whole.error.message().find("bytes"), std::string::npos);
}

TEST(Intake, WhatIsAskedForIsFittedIntoTheContext) {
  ScriptedEngine scripted;
  scripted.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
  scripted.start();
  Question request = text_request();
  request.prompt = std::vector<TextPrompt>{std::vector<TokenId>(200, 'a')};
  request.sampling.max_tokens = 250;
  TextDelta answer = ask(&scripted, request).choices.at({0, 0});
  EXPECT_EQ(answer.counts.num_output, 56);
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  request.sampling.min_tokens = 57;  // judged by what is left
  EXPECT_NE(ask(&scripted, request).error.message().find("max_tokens=56"), std::string::npos);
  Question chat = chat_request();
  chat.sampling.max_tokens = 257;
  EXPECT_EQ(ask(&scripted, chat).error.message(),
            "max_tokens=257 cannot be greater than max_model_len=256. Please request fewer output tokens.");
  chat.sampling.is_max_completion_tokens = true;
  EXPECT_EQ(ask(&scripted, chat).error.param(), "max_completion_tokens");
}

TEST(Intake, SeedMinusOneIsRandom) {
  ScriptedEngine scripted;
  Question request = text_request();
  for (int64_t seed : {int64_t{-2}, int64_t{0}, int64_t{7}}) {
    request.sampling.seed = seed;
    EXPECT_EQ(resolve_sampling(scripted.model, request, request, 12345)->seed, static_cast<uint64_t>(seed));
  }
  request.sampling.seed = -1;
  EXPECT_EQ(resolve_sampling(scripted.model, request, request, 12345)->seed, 12345u);
}

TEST(Intake, BadWordsAreBadBehindASpaceToo) {
  ScriptedEngine scripted;
  Question request = text_request();
  request.sampling.bad_words = {"ab", "  cd", "e"};
  Result<SamplingParams> params = resolve_sampling(scripted.model, request, request, 0);
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->bad_words,
            (std::vector<std::vector<TokenId>>{bytes_of("ab"), bytes_of(" ab"), bytes_of("cd"),
                                               bytes_of(" cd"), bytes_of("e"), bytes_of(" e")}));
}

TEST(Intake, DefaultsOfLength) {
  ScriptedEngine scripted;
  scripted.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
  scripted.start();
  Question text = text_request(), chat = chat_request();
  text.sampling.max_tokens.reset();
  EXPECT_EQ(ask(&scripted, text).choices.at({0, 0}).counts.num_output, 16);
  TextDelta answer = ask(&scripted, chat).choices.at({0, 0});
  EXPECT_EQ(answer.counts.num_output, 256 - answer.counts.num_prompt);
  EXPECT_EQ(answer.finish, FinishReason::kLength);

  ScriptedEngine limited;
  limited.script = scripted.script;
  limited.model.default_sampling.set("max_new_tokens", 5);
  limited.start();
  EXPECT_EQ(ask(&limited, chat).choices.at({0, 0}).counts.num_output, 5);
  EXPECT_EQ(ask(&limited, text).choices.at({0, 0}).counts.num_output, 16);  // of chats alone, as in vLLM
  chat.sampling.max_tokens = 9;                                             // the model's own is a default
  EXPECT_EQ(ask(&limited, chat).choices.at({0, 0}).counts.num_output, 9);
  ScriptedEngine strict;
  strict.script = scripted.script;
  strict.model.default_sampling.set("max_new_tokens", 5);
  strict.model.max_new_tokens_is_limit = true;
  strict.start();
  EXPECT_EQ(ask(&strict, chat).choices.at({0, 0}).counts.num_output, 5);
}

TEST(Intake, RefusesWhatTheModelCanNotDo) {
  ScriptedEngine scripted;
  scripted.model.max_logprobs = 4;
  scripted.start();
  using Change = std::function<void(Question*)>;
  struct Case {
    const char* param;
    Change change;
  } cases[] = {
      {"", [](Question* r) { r->n = 2, r->sampling.temperature = 0; }},
      {"logit_bias",
       [](Question* r) {
         r->sampling.logit_bias = {{262, 1.0f}};
       }},
      {"stop_token_ids", [](Question* r) { r->sampling.stop_token_ids = {262}; }},
      {"allowed_token_ids",
       [](Question* r) {
         r->sampling.allowed_token_ids = {1, 999999};
       }},
      {"logprobs", [](Question* r) { r->num_logprobs = 5; }},
      {"logprobs", [](Question* r) { r->num_logprobs = kAllLogprobs; }},
      {"prompt_logprobs", [](Question* r) { r->num_prompt_logprobs = 5; }},
      {"", [](Question* r) { r->sampling.min_tokens = 101; }},
      {"routed_experts_prompt_start", [](Question* r) { r->routed_experts_prompt_start = 10; }},
      {"allowed_token_ids",
       [](Question* r) {
         r->sampling.allowed_token_ids = r->sampling.stop_token_ids = {5};
         r->sampling.min_tokens = 1;
       }},
      {"",
       [](Question* r) {
         r->prompt = std::vector<TextPrompt>{std::vector<TokenId>{1, 262}};
       }},
      {"",
       [](Question* r) {
         r->prompt = std::vector<TextPrompt>{"a", std::vector<TokenId>{262}};
       }},
      {"", [](Question* r) { r->prompt = std::vector<TextPrompt>{""}, r->add_special_tokens = false; }},
      {"",
       [](Question* r) {
         *r = chat_request();
         std::get<ChatPrompt>(r->prompt).chat_template = "x";
       }},
  };
  for (const Case& one : cases) {
    Question request = text_request();
    one.change(&request);
    Whole whole = ask(&scripted, request);
    ASSERT_FALSE(whole.error.ok()) << one.param;
    EXPECT_EQ(whole.error.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(whole.error.param(), one.param) << whole.error.message();
  }
  for (const int64_t count : {int64_t{5}, int64_t{1} << 31, std::numeric_limits<int64_t>::max()}) {
    for (auto field : {&Question::num_logprobs, &Question::num_prompt_logprobs}) {
      Question request = text_request();
      request.*field = count;
      Whole whole = ask(&scripted, request);
      ASSERT_FALSE(whole.error.ok()) << count;
      EXPECT_NE(whole.error.message().find(" of " + std::to_string(count) + ","), std::string::npos)
          << whole.error.message();
    }
  }
  Question unknown = text_request();
  unknown.model = "gpt-4";
  Whole whole = ask(&scripted, unknown);
  EXPECT_EQ(whole.refused.code(), StatusCode::kNotFound);
  EXPECT_EQ(whole.refused.message(),
            "The model `gpt-4` does not exist. Valid aliases: scripted, second/name.");
  EXPECT_TRUE(scripted.engine->drain(60));
}

}  // namespace
}  // namespace pagoda
