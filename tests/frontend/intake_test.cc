#include "frontend/intake.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <thread>

#include "frontend/sampling.h"
#include "tests/testing/scripted_house.h"

namespace pagoda {
namespace {

using testing::bytes_of;
using testing::kBos;
using testing::kEos;
using testing::kImStart;
using testing::kStopNow;
using testing::ScriptedHouse;

constexpr std::chrono::seconds kPatience{60};  // only a hang reaches it

// What a wake-up does in a server: the reader runs again.
class Reader {
 public:
  std::function<void()> wake() {
    return [state = state_] {
      std::lock_guard lock(state->mutex);
      ++state->wakes;
      state->changed.notify_all();
    };
  }
  bool wait(int* seen) {
    std::unique_lock lock(state_->mutex);
    bool woken = state_->changed.wait_for(lock, kPatience, [&] { return state_->wakes > *seen; });
    *seen = state_->wakes;
    return woken;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int wakes = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

struct Whole {
  Status refused;  // by admit
  std::optional<ApiError> error;
  std::map<std::pair<int, int>, TextDelta> choices;  // (prompt, choice) -> all deltas together
  std::vector<std::string> pieces;                   // of (0, 0)
};

Whole ask(ScriptedHouse* house, GenerateRequest request) {
  Whole whole;
  Reader reader;
  auto stream = house->intake->admit(std::move(request), reader.wake());
  if (!stream.ok()) {
    whole.refused = stream.status();
    return whole;
  }
  int seen = 0;
  TextDelta delta;
  while (!(*stream)->done()) {
    if (!(*stream)->next(&delta)) {
      EXPECT_TRUE((*stream)->done() || reader.wait(&seen)) << "nobody wakes the reader";
      if (seen == 0 && !(*stream)->done()) break;
      continue;
    }
    if (delta.error) whole.error = delta.error;
    TextDelta& all = whole.choices[{delta.prompt_index, delta.choice}];
    EXPECT_EQ(all.finish, FinishReason::kNone) << "a delta after the last";
    if (delta.prompt_index == 0 && delta.choice == 0) whole.pieces.push_back(delta.text);
    all.text += delta.text;
    all.prompt_text += delta.prompt_text;
    all.token_ids.insert(all.token_ids.end(), delta.token_ids.begin(), delta.token_ids.end());
    all.logprobs.insert(all.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
    all.prompt_logprobs.insert(all.prompt_logprobs.end(), delta.prompt_logprobs.begin(),
                               delta.prompt_logprobs.end());
    if (!delta.prompt_token_ids.empty()) all.prompt_token_ids = delta.prompt_token_ids;
    all.finish = delta.finish;
    all.stop_reason = delta.stop_reason;
    all.num_prompt_tokens = delta.num_prompt_tokens;
    all.num_output_tokens = delta.num_output_tokens;
  }
  return whole;
}

GenerateRequest text_request(const std::string& prompt = "hi") {
  GenerateRequest request;
  request.prompt = std::vector<TextPrompt>{prompt};
  request.sampling.max_tokens = 100;
  return request;
}
GenerateRequest chat_request(const std::string& content = "hi") {
  Object message;
  message.append("role", "user");
  message.append("content", content);
  ChatPrompt chat;
  chat.messages.push_back(Value(std::move(message)));
  GenerateRequest request;
  request.prompt = std::move(chat);
  request.add_special_tokens = false;
  return request;
}

TEST(Intake, AnswersATextAndAChat) {
  ScriptedHouse house;
  house.start();
  GenerateRequest request = text_request();
  request.return_token_ids = true;
  Whole whole = ask(&house, request);
  const TextDelta& answer = whole.choices.at({0, 0});
  EXPECT_EQ(answer.text, "Hello, world.");
  EXPECT_EQ(answer.finish, FinishReason::kStop);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(answer.stop_reason));
  EXPECT_EQ(answer.prompt_token_ids, (std::vector<TokenId>{kBos, 'h', 'i'}));
  EXPECT_EQ(answer.num_prompt_tokens, 3);
  EXPECT_EQ(answer.num_output_tokens, 14);  // with the end token
  EXPECT_EQ(answer.token_ids.back(), kEos);

  request = chat_request();
  request.return_token_ids = true;
  whole = ask(&house, request);
  std::vector<TokenId> prompt;
  house.model.tokenizer->encode("<s><|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", {}, &prompt);
  EXPECT_EQ(whole.choices.at({0, 0}).prompt_token_ids, prompt);
  EXPECT_EQ(prompt[1], kImStart);
}

struct StopCase {
  std::vector<std::string> stop;
  bool include = false;
  int64_t min_tokens = 0;
  std::string text, reason;
};

TEST(OutputStream, StopStrings) {
  ScriptedHouse house;
  house.script = [](const std::vector<TokenId>&, int32_t) {
    std::vector<TokenId> ids = bytes_of("one ");
    ids.push_back(kStopNow);
    for (TokenId id : bytes_of(" tw\xc3\xa9 STOP end")) ids.push_back(id);
    return ids;
  };
  house.start();
  const StopCase cases[] = {
      {{}, false, 0, "one STOP now tw\xc3\xa9 STOP end", ""},
      {{"STOP"}, false, 0, "one ", "STOP"},
      {{"STOP"}, true, 0, "one STOP", "STOP"},
      {{"OP n", "STOP"}, false, 0, "one ", "STOP"},
      {{" tw\xc3\xa9"}, false, 0, "one STOP now", " tw\xc3\xa9"},
      {{"now tw"}, true, 0, "one STOP now tw", "now tw"},
      {{"STOP"}, false, 5, "one STOP now tw\xc3\xa9 ", "STOP"},  // the first one ends within 5 tokens
      {{"STOP endless", "zzz"}, false, 0, "one STOP now tw\xc3\xa9 STOP end", ""},
      {{"o"}, false, 0, "", "o"},
      {{"d"}, false, 0, "one STOP now tw\xc3\xa9 STOP en", "d"},
  };
  for (const StopCase& one : cases) {
    GenerateRequest request = text_request();
    request.stop = one.stop;
    request.include_stop_str_in_output = one.include;
    request.sampling.min_tokens = one.min_tokens;
    Whole whole = ask(&house, request);
    const TextDelta& answer = whole.choices.at({0, 0});
    // EOS belongs to the text under include_stop_str_in_output, but is special and thus not shown.
    EXPECT_EQ(answer.text, one.text) << ::testing::PrintToString(one.stop);
    EXPECT_EQ(answer.finish, FinishReason::kStop);
    const auto* reason = std::get_if<std::string>(&answer.stop_reason);
    EXPECT_EQ(reason == nullptr ? "" : *reason, one.reason);
  }
  EXPECT_TRUE(house.engine->drain(60)) << "what was stopped has left the engine";
  EXPECT_EQ(house.engine->stats().kv_usage, 0);
}

TEST(OutputStream, PiecesAreWholeCharactersAndNotHeldLongerThanNeeded) {
  ScriptedHouse house;
  house.script = [](const std::vector<TokenId>&, int32_t) {
    return bytes_of(
        "a\xf0\x9f\x99\x82"
        "b\xff"
        "c\xf0\x9f");
  };
  house.start();
  GenerateRequest request = text_request();
  request.stop = {"bcd"};
  Whole whole = ask(&house, request);
  EXPECT_EQ(whole.choices.at({0, 0}).text,
            "a\xf0\x9f\x99\x82"
            "b\xef\xbf\xbd"
            "c")
      << "ill-formed bytes are shown, the beginning of a character at the end is not";
  EXPECT_EQ(whole.pieces[0], "a");
  EXPECT_EQ(whole.pieces[1], "");
  EXPECT_EQ(whole.pieces[4], "\xf0\x9f\x99\x82");
  EXPECT_EQ(whole.pieces[5], "");  // "b" may begin the stop string
}

TEST(OutputStream, StopTokensAndLength) {
  ScriptedHouse house;
  house.start();
  GenerateRequest request = text_request();
  request.sampling.stop_token_ids = {','};
  TextDelta answer = ask(&house, request).choices.at({0, 0});
  EXPECT_EQ(answer.text, "Hello");
  EXPECT_EQ(std::get<TokenId>(answer.stop_reason), ',');
  request.include_stop_str_in_output = true;
  EXPECT_EQ(ask(&house, request).choices.at({0, 0}).text, "Hello,");
  request = text_request();
  request.sampling.max_tokens = 3;
  answer = ask(&house, request).choices.at({0, 0});
  EXPECT_EQ(answer.text, "Hel");
  EXPECT_EQ(answer.finish, FinishReason::kLength);
}

TEST(OutputStream, SeveralPromptsAndChoices) {
  ScriptedHouse house;
  house.script = [](const std::vector<TokenId>& prompt, int32_t choice) {
    std::string text(1, static_cast<char>(prompt.back()));
    return bytes_of(text + std::to_string(choice) + "|tail");
  };
  house.start();
  GenerateRequest request = text_request();
  request.prompt = std::vector<TextPrompt>{"x", std::vector<TokenId>{'y'}};
  request.n = 3;
  request.stop = {"1|"};  // ends choice 1 of each; the others go on
  Whole whole = ask(&house, request);
  ASSERT_EQ(whole.choices.size(), 6u);
  EXPECT_EQ(whole.choices.at({0, 0}).text, "x0|tail");
  EXPECT_EQ(whole.choices.at({0, 1}).text, "x");
  EXPECT_EQ(whole.choices.at({1, 1}).text, "y");
  EXPECT_EQ(whole.choices.at({1, 2}).text, "y2|tail");
  EXPECT_TRUE(house.engine->drain(60));
  EXPECT_EQ(house.engine->stats().kv_usage, 0);
}

TEST(OutputStream, EchoAndLogprobs) {
  ScriptedHouse house;
  house.script = [](const std::vector<TokenId>&, int32_t) { return bytes_of("ok"); };
  house.start();
  GenerateRequest request = text_request();
  request.echo = true;
  request.num_logprobs = 2;
  TextDelta answer = ask(&house, request).choices.at({0, 0});
  EXPECT_EQ(answer.prompt_text, "hi");
  EXPECT_EQ(answer.text, "ok");
  ASSERT_EQ(answer.prompt_logprobs.size(), 3u);
  EXPECT_FALSE(answer.prompt_logprobs[0].has_logprob);
  EXPECT_EQ(answer.prompt_logprobs[0].token.bytes, "<s>");
  EXPECT_EQ(answer.prompt_logprobs[2].token.bytes, "i");
  EXPECT_EQ(answer.prompt_logprobs[2].token.logprob, -105.0f / 256);
  EXPECT_EQ(answer.prompt_logprobs[2].top.size(), 2u);
  ASSERT_EQ(answer.logprobs.size(), 3u);
  EXPECT_EQ(answer.logprobs[0].token.bytes, "o");
  EXPECT_EQ(answer.logprobs[0].token.rank, 'o' + 1);
  EXPECT_EQ(answer.logprobs[0].top[1].logprob, -0.5f);

  request.sampling.max_tokens = 0;  // echo alone
  request.n = 2;
  Whole whole = ask(&house, request);
  for (int choice : {0, 1}) {
    answer = whole.choices.at({0, choice});
    EXPECT_EQ(answer.prompt_text, "hi");
    EXPECT_EQ(answer.text, "");
    EXPECT_TRUE(answer.token_ids.empty() && answer.logprobs.empty());
    EXPECT_EQ(answer.prompt_logprobs.size(), 3u);
    EXPECT_EQ(answer.finish, FinishReason::kLength);
    EXPECT_EQ(answer.num_output_tokens, 0);
  }
  request = text_request();
  request.prompt = std::vector<TextPrompt>{std::vector<TokenId>{kBos, 'a', 'b'}};
  request.echo = true;
  EXPECT_EQ(ask(&house, request).choices.at({0, 0}).prompt_text, "ab");
  request.prompt = std::vector<TextPrompt>{std::vector<TokenId>{'a'}};  // nothing predicts its only token
  request.num_logprobs = 0;
  request.n = 2;
  whole = ask(&house, request);
  for (int choice : {0, 1}) {
    EXPECT_EQ(whole.choices.at({0, choice}).prompt_logprobs.size(), 1u);
    EXPECT_EQ(whole.choices.at({0, choice}).text, "ok");
  }
}

TEST(Intake, ContextLength) {
  ScriptedHouse house;
  house.start();
  struct Case {
    std::size_t prompt;
    std::optional<int64_t> max_tokens;
    int64_t truncate;
    const char* param;  // null: accepted
    int num_prompt;
  } cases[] = {
      {255, 1, 0, nullptr, 255},
      {256, 1, 0, "max_tokens", 0},
      {257, 1, 0, "input_tokens", 0},
      {256, {}, 0, "max_tokens", 0},
      {255, {}, 0, nullptr, 255},
      {250, 6, 0, nullptr, 250},
      {250, 7, 0, nullptr, 250},  // fitted into what is left
      {1, 256, 0, nullptr, 1},
      {255, 256, 0, nullptr, 255},
      {1, 257, 0, "max_tokens", 0},  // more than any prompt leaves
      {300, 257, 0, "max_tokens", 0},
      {1, std::numeric_limits<int64_t>::max(), 0, "max_tokens", 0},
      {5000, 8, 248, nullptr, 248},
      {5000, 8, -1, nullptr, 248},
      {5000, {}, -1, nullptr, 255},
      {3, 8, -1, nullptr, 3},
      {3, 8, 257, "truncate_prompt_tokens", 0},
      {5000, 9, 248, nullptr, 248},
  };
  for (const Case& one : cases) {
    GenerateRequest request = text_request();
    request.prompt = std::vector<TextPrompt>{std::vector<TokenId>(one.prompt, 'a')};
    request.sampling.max_tokens = one.max_tokens;
    request.truncate_prompt_tokens = one.truncate;
    Whole whole = ask(&house, request);
    if (one.param != nullptr) {
      ASSERT_TRUE(whole.error) << one.prompt;
      EXPECT_EQ(whole.error->http_status, 400);
      EXPECT_EQ(whole.error->param, one.param) << one.prompt << " " << whole.error->message;
      EXPECT_NE(whole.error->message.find("256"), std::string::npos) << whole.error->message;
    } else {
      ASSERT_FALSE(whole.error) << whole.error->message;
      EXPECT_EQ(whole.choices.at({0, 0}).num_prompt_tokens, one.num_prompt);
    }
  }
  // Refused by its bytes, before tokenizing.
  Whole whole = ask(&house, text_request(std::string(1 << 20, 'x')));
  EXPECT_NE(whole.error->message.find("bytes"), std::string::npos);
}

TEST(Intake, WhatIsAskedForIsFittedIntoTheContext) {
  ScriptedHouse house;
  house.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
  house.start();
  GenerateRequest request = text_request();
  request.prompt = std::vector<TextPrompt>{std::vector<TokenId>(200, 'a')};
  request.sampling.max_tokens = 250;
  TextDelta answer = ask(&house, request).choices.at({0, 0});
  EXPECT_EQ(answer.num_output_tokens, 56);
  EXPECT_EQ(answer.finish, FinishReason::kLength);
  request.sampling.min_tokens = 57;  // judged by what is left
  EXPECT_NE(ask(&house, request).error->message.find("max_tokens=56"), std::string::npos);
  GenerateRequest chat = chat_request();
  chat.sampling.max_tokens = 257;
  EXPECT_EQ(ask(&house, chat).error->message,
            "max_tokens=257 cannot be greater than max_model_len=256. Please request fewer output tokens.");
  chat.sampling.is_max_completion_tokens = true;
  EXPECT_EQ(ask(&house, chat).error->param, "max_completion_tokens");
}

TEST(Intake, TruncatesFromTheSideThatIsAskedFor) {
  ScriptedHouse house;
  house.start();
  GenerateRequest request = text_request("abcdef");
  request.return_token_ids = true;
  request.add_special_tokens = false;
  request.truncate_prompt_tokens = 2;
  EXPECT_EQ(ask(&house, request).choices.at({0, 0}).prompt_token_ids, bytes_of("ef"));
  request.truncate_right = true;
  EXPECT_EQ(ask(&house, request).choices.at({0, 0}).prompt_token_ids, bytes_of("ab"));
  // A text that is far too long is cut before its tokens are looked for.
  request.prompt = std::vector<TextPrompt>{"ab" + std::string(40 << 20, 'x') + "yz"};
  EXPECT_EQ(ask(&house, request).choices.at({0, 0}).prompt_token_ids, bytes_of("ab"));
  request.truncate_right = false;
  EXPECT_EQ(ask(&house, request).choices.at({0, 0}).prompt_token_ids, bytes_of("yz"));
}

TEST(Intake, SeedMinusOneIsRandom) {
  ScriptedHouse house;
  GenerateRequest request = text_request();
  for (int64_t seed : {int64_t{-2}, int64_t{0}, int64_t{7}}) {
    request.sampling.seed = seed;
    EXPECT_EQ(resolve_sampling(house.model, request, 12345)->seed, static_cast<uint64_t>(seed));
  }
  request.sampling.seed = -1;
  EXPECT_EQ(resolve_sampling(house.model, request, 12345)->seed, 12345u);
}

TEST(Intake, BadWordsAreBadBehindASpaceToo) {
  ScriptedHouse house;
  GenerateRequest request = text_request();
  request.sampling.bad_words = {"ab", "  cd", "e"};
  Result<SamplingParams> params = resolve_sampling(house.model, request, 0);
  ASSERT_TRUE(params.ok());
  EXPECT_EQ(params->bad_words,
            (std::vector<std::vector<TokenId>>{bytes_of("ab"), bytes_of(" ab"), bytes_of("cd"),
                                               bytes_of(" cd"), bytes_of("e"), bytes_of(" e")}));
}

TEST(Intake, DefaultsOfLength) {
  ScriptedHouse house;
  house.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
  house.start();
  GenerateRequest text = text_request(), chat = chat_request();
  text.sampling.max_tokens.reset();
  EXPECT_EQ(ask(&house, text).choices.at({0, 0}).num_output_tokens, 16);
  TextDelta answer = ask(&house, chat).choices.at({0, 0});
  EXPECT_EQ(answer.num_output_tokens, 256 - answer.num_prompt_tokens);
  EXPECT_EQ(answer.finish, FinishReason::kLength);

  ScriptedHouse limited;
  limited.script = house.script;
  limited.model.default_sampling.set("max_new_tokens", 5);
  limited.start();
  EXPECT_EQ(ask(&limited, chat).choices.at({0, 0}).num_output_tokens, 5);
  EXPECT_EQ(ask(&limited, text).choices.at({0, 0}).num_output_tokens, 16);  // of chats alone, as in vLLM
  chat.sampling.max_tokens = 9;                                             // the model's own is a default
  EXPECT_EQ(ask(&limited, chat).choices.at({0, 0}).num_output_tokens, 9);
  ScriptedHouse strict;
  strict.script = house.script;
  strict.model.default_sampling.set("max_new_tokens", 5);
  strict.model.max_new_tokens_is_limit = true;
  strict.start();
  EXPECT_EQ(ask(&strict, chat).choices.at({0, 0}).num_output_tokens, 5);
}

TEST(Intake, RefusesWhatTheModelCanNotDo) {
  ScriptedHouse house;
  house.model.max_logprobs = 4;
  house.start();
  using Change = std::function<void(GenerateRequest*)>;
  struct Case {
    const char* param;
    Change change;
  } cases[] = {
      {"", [](GenerateRequest* r) { r->n = 2, r->sampling.temperature = 0; }},
      {"logit_bias",
       [](GenerateRequest* r) {
         r->sampling.logit_bias = {{262, 1.0f}};
       }},
      {"stop_token_ids", [](GenerateRequest* r) { r->sampling.stop_token_ids = {262}; }},
      {"allowed_token_ids",
       [](GenerateRequest* r) {
         r->sampling.allowed_token_ids = {1, 999999};
       }},
      {"logprobs", [](GenerateRequest* r) { r->num_logprobs = 5; }},
      {"logprobs", [](GenerateRequest* r) { r->num_logprobs = kAllLogprobs; }},
      {"prompt_logprobs", [](GenerateRequest* r) { r->num_prompt_logprobs = 5; }},
      {"", [](GenerateRequest* r) { r->sampling.min_tokens = 101; }},
      {"allowed_token_ids",
       [](GenerateRequest* r) {
         r->sampling.allowed_token_ids = r->sampling.stop_token_ids = {5};
         r->sampling.min_tokens = 1;
       }},
      {"",
       [](GenerateRequest* r) {
         r->prompt = std::vector<TextPrompt>{std::vector<TokenId>{1, 262}};
       }},
      {"",
       [](GenerateRequest* r) {
         r->prompt = std::vector<TextPrompt>{"a", std::vector<TokenId>{262}};
       }},
      {"",
       [](GenerateRequest* r) { r->prompt = std::vector<TextPrompt>{""}, r->add_special_tokens = false; }},
      {"chat_template",
       [](GenerateRequest* r) {
         *r = chat_request();
         std::get<ChatPrompt>(r->prompt).chat_template = "x";
       }},
  };
  for (const Case& one : cases) {
    GenerateRequest request = text_request();
    one.change(&request);
    Whole whole = ask(&house, request);
    ASSERT_TRUE(whole.error) << one.param;
    EXPECT_EQ(whole.error->http_status, 400);
    EXPECT_EQ(whole.error->param, one.param) << whole.error->message;
  }
  GenerateRequest unknown = text_request();
  unknown.model = "gpt-4";
  Whole whole = ask(&house, unknown);
  EXPECT_EQ(whole.refused.code(), StatusCode::kNotFound);
  EXPECT_EQ(whole.refused.message(),
            "The model `gpt-4` does not exist. Valid aliases: scripted, second/name.");
  EXPECT_TRUE(house.engine->drain(60));
}

TEST(Intake, FullQueueIsRefusedBeforeTheTextIsLookedAt) {
  ScriptedHouse house;
  house.config.scheduler.max_num_queued_reqs = 4;
  std::mutex gate;
  house.on_step = [&] {
    std::lock_guard wait(gate);
    return Status();
  };
  house.start();
  gate.lock();
  GenerateRequest four = text_request();
  four.n = 4;
  auto stream = house.intake->admit(four, [] {});
  ASSERT_TRUE(stream.ok());
  GenerateRequest bad = text_request(std::string(1 << 20, 'x'));  // would be 400 if it were looked at
  Whole whole = ask(&house, bad);
  EXPECT_EQ(whole.refused.code(), StatusCode::kExhausted);
  EXPECT_GT(whole.refused.retry_after_ms(), 0);
  four.n = 5;  // never possible
  EXPECT_EQ(ask(&house, four).refused.code(), StatusCode::kInvalidArgument);
  gate.unlock();
  *stream = nullptr;  // dropping the stream cancels
  EXPECT_TRUE(house.engine->drain(60));
  EXPECT_EQ(house.engine->stats().kv_usage, 0);
}

TEST(Intake, PromptTokensAreBounded) {
  ScriptedHouse house;
  house.config.scheduler.max_num_queued_tokens = 40;
  std::mutex gate;
  house.on_step = [&] {
    std::lock_guard wait(gate);
    return Status();
  };
  house.start();
  GenerateRequest large = text_request();
  large.prompt = std::vector<TextPrompt>{std::vector<TokenId>(30, 'a'), std::vector<TokenId>(30, 'b')};
  Whole whole = ask(&house, large);
  ASSERT_TRUE(whole.error);
  EXPECT_EQ(whole.error->http_status, 400) << "all of its prompts count: it would be refused for ever";
  EXPECT_EQ(whole.error->param, "prompt");

  gate.lock();
  GenerateRequest some = text_request();
  some.prompt = std::vector<TextPrompt>{std::vector<TokenId>(30, 'a')};
  house.restart_text_pool(1);
  auto stream = house.intake->admit(some, [] {});
  ASSERT_TRUE(stream.ok());
  house.await_text_pool();  // it is inside
  whole = ask(&house, some);
  ASSERT_TRUE(whole.error);
  EXPECT_EQ(whole.error->http_status, 503);
  EXPECT_GE(whole.error->retry_after_s, 1);
  gate.unlock();
  *stream = nullptr;
  EXPECT_TRUE(house.engine->drain(60));
}

TEST(OutputStream, TimeOutBeforeAndAfterTheFirstToken) {
  ScriptedHouse house;
  house.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
  house.on_step = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return Status();
  };
  house.start();
  auto now = [] { return std::chrono::steady_clock::now(); };
  GenerateRequest request = text_request();
  request.n = 2;
  request.deadline = now() + std::chrono::milliseconds(200);
  Whole whole = ask(&house, request);
  ASSERT_FALSE(whole.error) << whole.error->message;
  for (int choice : {0, 1}) {
    const TextDelta& answer = whole.choices.at({0, choice});
    EXPECT_EQ(answer.finish, FinishReason::kTimeout);
    EXPECT_EQ(answer.text, std::string(static_cast<std::size_t>(answer.num_output_tokens), 'a'));
    EXPECT_GT(answer.num_output_tokens, 0);
  }
  EXPECT_EQ(house.metrics.success_timeout.value(), 2);

  house.engine->pause(PauseMode::kWait, false, [](const Status&) {});  // nobody gets a token
  request.deadline = now() + std::chrono::milliseconds(20);
  whole = ask(&house, request);
  ASSERT_TRUE(whole.error);
  EXPECT_EQ(whole.error->http_status, 504);
  EXPECT_EQ(whole.error->type, "TimeoutError");

  request.deadline = now() - std::chrono::milliseconds(1);  // while it waited for the text pool
  whole = ask(&house, request);
  ASSERT_TRUE(whole.error);
  EXPECT_EQ(whole.error->http_status, 504);
  EXPECT_EQ(house.metrics.rejected_deadline.value(), 1);
  EXPECT_TRUE(house.engine->drain(60));
}

TEST(OutputStream, AbortIsHeardByTheReader) {
  ScriptedHouse house;
  house.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
  house.on_step = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return Status();
  };
  house.start();
  for (bool early : {true, false}) {
    Reader reader;
    auto stream = house.intake->admit(text_request(), reader.wake());
    ASSERT_TRUE(stream.ok());
    if (early) (*stream)->abort();  // perhaps before it is tokenized
    int seen = 0;
    TextDelta delta;
    FinishReason finish = FinishReason::kNone;
    while (!(*stream)->done()) {
      if (!(*stream)->next(&delta)) {
        ASSERT_TRUE(reader.wait(&seen));
        continue;
      }
      if (delta.num_output_tokens >= 3) (*stream)->abort();
      finish = delta.finish;
    }
    EXPECT_EQ(finish, FinishReason::kAbort);
    EXPECT_LT(delta.num_output_tokens, 100);
  }
  EXPECT_TRUE(house.engine->drain(60));
}

TEST(OutputStream, EngineFailureIsAGeneralError) {
  ScriptedHouse house;
  std::atomic<int> steps{0};
  house.on_step = [&] { return ++steps > 3 ? internal_error("secret detail") : Status(); };
  house.start();
  Whole whole = ask(&house, text_request());
  ASSERT_TRUE(whole.error);
  EXPECT_EQ(whole.error->http_status, 500);
  EXPECT_EQ(whole.error->message.find("secret"), std::string::npos);
  EXPECT_EQ(ask(&house, text_request()).refused.code(), StatusCode::kUnavailable);
}

TEST(Intake, RendersChats) {
  ScriptedHouse house;
  house.start();
  ChatPrompt chat = std::get<ChatPrompt>(chat_request(" say it ").prompt);
  EXPECT_EQ(*house.intake->render_chat(chat),
            "<s><|im_start|>user\n say it <|im_end|>\n<|im_start|>assistant\n");
  chat.add_generation_prompt = false;
  chat.continue_final_message = true;
  EXPECT_EQ(*house.intake->render_chat(chat), "<s><|im_start|>user\n say it ");
  chat.messages[0].as_object().set("content", Value(Array{Value(Object()), Value(Object())}));
  for (int i : {0, 1}) {
    Object part;
    part.set("type", "text");
    part.set("text", i == 0 ? "a" : "b");
    chat.messages[0].as_object().find("content")->as_array()[static_cast<std::size_t>(i)] =
        Value(std::move(part));
  }
  EXPECT_EQ(*house.intake->render_chat(chat), "<s><|im_start|>user\na\nb");
  GenerateRequest request = chat_request();
  EXPECT_EQ(house.intake->tokenize(request)->front(), kBos);
  EXPECT_EQ(*house.intake->detokenize({kBos, 'h', 'i'}), "<s>hi");
  EXPECT_EQ(house.intake->detokenize({262}).status().param(), "tokens");
  std::get<ChatPrompt>(request.prompt).template_kwargs.set("messages", "x");
  EXPECT_TRUE(house.intake->tokenize(request).ok()) << "what the template needs can not be replaced";
}

// Streams read, dropped and cancelled from many threads at once: nothing stays in the engine.
TEST(OutputStream, ManyReadersAndLeavers) {
  ScriptedHouse house;
  house.start();
  std::vector<std::thread> threads;
  std::atomic<int> whole_answers{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&house, &whole_answers, t] {
      for (int i = 0; i < 12; ++i) {
        GenerateRequest request = text_request();
        request.n = 1 + i % 3;
        if ((i + t) % 3 == 0) {
          auto stream = house.intake->admit(request, [] {});
          if (stream.ok() && i % 2 == 0) (*stream)->cancel();
          continue;
        }
        Whole whole = ask(&house, request);
        for (const auto& [key, answer] : whole.choices) whole_answers += answer.text == "Hello, world.";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(whole_answers, 0);
  house.text_pool.reset();
  EXPECT_TRUE(house.engine->drain(60));
  EXPECT_EQ(house.engine->stats().kv_usage, 0);
}

}  // namespace
}  // namespace pagoda
