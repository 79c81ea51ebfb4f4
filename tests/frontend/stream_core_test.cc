#include "frontend/stream_core.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "contract/text_delta.h"
#include "tests/frontend/asking.h"

namespace pagoda {
namespace {

using testing::ask;
using testing::bytes_of;
using testing::kBos;
using testing::kEos;
using testing::kStopNow;
using testing::Question;
using testing::Reader;
using testing::ScriptedEngine;
using testing::text_request;
using testing::Whole;

struct StopCase {
  std::vector<std::string> stop;
  bool include = false;
  int64_t min_tokens = 0;
  std::string text, reason;
};
TEST(OutputStream, StopStrings) {
  ScriptedEngine scripted;
  scripted.script = [](const std::vector<TokenId>&, int32_t) {
    std::vector<TokenId> ids = bytes_of("one ");
    ids.push_back(kStopNow);
    for (TokenId id : bytes_of(" tw\xc3\xa9 STOP end")) ids.push_back(id);
    return ids;
  };
  scripted.start();
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
    Question request = text_request();
    request.stop = one.stop;
    request.include_stop_str_in_output = one.include;
    request.sampling.min_tokens = one.min_tokens;
    Whole whole = ask(&scripted, request);
    const TextDelta& answer = whole.choices.at({0, 0});
    // EOS belongs to the text under include_stop_str_in_output, but is special and thus not shown.
    EXPECT_EQ(answer.text, one.text) << ::testing::PrintToString(one.stop);
    EXPECT_EQ(answer.finish, FinishReason::kStop);
    const auto* reason = std::get_if<std::string>(&answer.stop_reason);
    EXPECT_EQ(reason == nullptr ? "" : *reason, one.reason);
  }
  EXPECT_TRUE(scripted.engine->drain(60)) << "what was stopped has left the engine";
  EXPECT_EQ(scripted.engine->stats().kv_usage, 0);
}

TEST(OutputStream, PiecesAreWholeCharactersAndNotHeldLongerThanNeeded) {
  ScriptedEngine scripted;
  scripted.script = [](const std::vector<TokenId>&, int32_t) {
    return bytes_of(
        "a\xf0\x9f\x99\x82"
        "b\xff"
        "c\xf0\x9f");
  };
  scripted.start();
  Question request = text_request();
  request.stop = {"bcd"};
  Whole whole = ask(&scripted, request);
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
  ScriptedEngine scripted;
  scripted.start();
  Question request = text_request();
  request.sampling.stop_token_ids = {','};
  TextDelta answer = ask(&scripted, request).choices.at({0, 0});
  EXPECT_EQ(answer.text, "Hello");
  EXPECT_EQ(std::get<TokenId>(answer.stop_reason), ',');
  request.include_stop_str_in_output = true;
  EXPECT_EQ(ask(&scripted, request).choices.at({0, 0}).text, "Hello,");
  request = text_request();
  request.sampling.max_tokens = 3;
  answer = ask(&scripted, request).choices.at({0, 0});
  EXPECT_EQ(answer.text, "Hel");
  EXPECT_EQ(answer.finish, FinishReason::kLength);
}

TEST(OutputStream, SeveralPromptsAndChoices) {
  ScriptedEngine scripted;
  scripted.script = [](const std::vector<TokenId>& prompt, int32_t choice) {
    std::string text(1, static_cast<char>(prompt.back()));
    return bytes_of(text + std::to_string(choice) + "|tail");
  };
  scripted.start();
  Question request = text_request();
  request.prompt = std::vector<TextPrompt>{"x", std::vector<TokenId>{'y'}};
  request.n = 3;
  request.stop = {"1|"};  // ends choice 1 of each; the others go on
  Whole whole = ask(&scripted, request);
  ASSERT_EQ(whole.choices.size(), 6u);
  EXPECT_EQ(whole.choices.at({0, 0}).text, "x0|tail");
  EXPECT_EQ(whole.choices.at({0, 1}).text, "x");
  EXPECT_EQ(whole.choices.at({1, 1}).text, "y");
  EXPECT_EQ(whole.choices.at({1, 2}).text, "y2|tail");
  EXPECT_TRUE(scripted.engine->drain(60));
  EXPECT_EQ(scripted.engine->stats().kv_usage, 0);
}

TEST(OutputStream, EchoAndLogprobs) {
  ScriptedEngine scripted;
  scripted.script = [](const std::vector<TokenId>&, int32_t) { return bytes_of("ok"); };
  scripted.start();
  Question request = text_request();
  request.echo = true;
  request.num_logprobs = request.num_prompt_logprobs = 2;
  TextDelta answer = ask(&scripted, request).choices.at({0, 0});
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
  Whole whole = ask(&scripted, request);
  for (int choice : {0, 1}) {
    answer = whole.choices.at({0, choice});
    EXPECT_EQ(answer.prompt_text, "hi");
    EXPECT_EQ(answer.text, "");
    EXPECT_TRUE(answer.token_ids.empty() && answer.logprobs.empty());
    EXPECT_EQ(answer.prompt_logprobs.size(), 3u);
    EXPECT_EQ(answer.finish, FinishReason::kLength);
    EXPECT_EQ(answer.counts.num_output, 0);
  }
  request = text_request();
  request.prompt = std::vector<TextPrompt>{std::vector<TokenId>{kBos, 'a', 'b'}};
  request.echo = true;
  EXPECT_EQ(ask(&scripted, request).choices.at({0, 0}).prompt_text, "<s>ab");  // all of the prompt
  request.prompt = std::vector<TextPrompt>{std::vector<TokenId>{'a'}};  // nothing predicts its only token
  request.num_logprobs = request.num_prompt_logprobs = 0;
  request.n = 2;
  whole = ask(&scripted, request);
  for (int choice : {0, 1}) {
    EXPECT_EQ(whole.choices.at({0, choice}).prompt_logprobs.size(), 1u);
    EXPECT_EQ(whole.choices.at({0, choice}).text, "ok");
  }
}

TEST(OutputStream, TokensAreNamedAndPlacedAsTheTextShowsThem) {
  struct Case {
    const char* what;
    TextPrompt prompt;
    bool echo;
    std::vector<TokenId> script;  // a last kEos is added
    const char* text;
    std::vector<std::string> names;
    std::vector<int32_t> offsets;
  } cases[] = {
      {"a character of four tokens",
       "p",
       false,
       bytes_of("a😀b"),
       "a😀b",
       {"a", "", "", "", "😀", "b", "<eos>"},
       {0, 1, 1, 1, 1, 2, 3}},
      {"behind an echoed text and its BOS",
       "é",
       true,
       bytes_of("日"),
       "日",
       {"<s>", "", "é", "", "", "日", "<eos>"},
       {0, 0, 0, 1, 1, 1, 2}},
      {"behind echoed ids, special ones too",
       std::vector<TokenId>{kBos, 'a'},
       true,
       bytes_of("b"),
       "b",
       {"<s>", "a", "b", "<eos>"},
       {0, 3, 4, 5}},
      {"bytes of no character, within",
       "p",
       false,
       {'a', 0x98, 'b'},
       "a\uFFFDb",
       {"a", "", "b", "<eos>"},
       {0, 1, 2, 3}},
      {"and at the end",
       "p",
       false,
       {'a', 0x98, 0x98, 0xF0},
       "a",
       {"a", "", "", "", "<eos>"},
       {0, 1, 1, 1, 1}},
      {"nothing else", "p", false, {0x98, 0x98, 0x98}, "", {"", "", "", "<eos>"}, {0, 0, 0, 0}},
  };
  for (const Case& c : cases) {
    ScriptedEngine scripted;
    scripted.script = [&](const std::vector<TokenId>&, int32_t) { return c.script; };
    scripted.start();
    Question request = text_request();
    request.prompt = std::vector<TextPrompt>{c.prompt};
    request.echo = c.echo;
    request.num_logprobs = 0;
    if (c.echo) request.num_prompt_logprobs = 0;
    request.n = 2;  // each choice has its own state
    const Whole whole = ask(&scripted, request);
    for (int index : {0, 1}) {
      const TextDelta& answer = whole.choices.at({0, index});
      EXPECT_EQ(answer.text, c.text) << c.what;
      std::vector<std::string> names;
      std::vector<int32_t> offsets;
      for (const auto* list : {&answer.prompt_logprobs, &answer.logprobs})
        for (const TokenLogprobText& token : *list) {
          names.push_back(token.token.id == kEos ? "<eos>" : token_name(token.open, token.token.bytes));
          offsets.push_back(token.text_offset);
        }
      EXPECT_EQ(names, c.names) << c.what;
      EXPECT_EQ(offsets, c.offsets) << c.what;
    }
  }
}

TEST(OutputStream, TimeOutBeforeAndAfterTheFirstToken) {
  ScriptedEngine scripted;
  scripted.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
  scripted.on_step = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return Status();
  };
  scripted.start();
  auto now = [] { return std::chrono::steady_clock::now(); };
  Question request = text_request();
  request.n = 2;
  request.deadline = now() + std::chrono::milliseconds(200);
  Whole whole = ask(&scripted, request);
  ASSERT_TRUE(whole.error.ok()) << whole.error.message();
  for (int choice : {0, 1}) {
    const TextDelta& answer = whole.choices.at({0, choice});
    EXPECT_EQ(answer.finish, FinishReason::kTimeout);
    EXPECT_EQ(answer.text, std::string(static_cast<std::size_t>(answer.counts.num_output), 'a'));
    EXPECT_GT(answer.counts.num_output, 0);
  }
  EXPECT_EQ(scripted.metrics.success_timeout.value(), 2);

  scripted.engine->pause(PauseMode::kWait, false, [](const Status&) {});  // no request gets a token
  request.deadline = now() + std::chrono::milliseconds(20);
  whole = ask(&scripted, request);
  ASSERT_FALSE(whole.error.ok());
  EXPECT_EQ(whole.error.code(), StatusCode::kTimeout);

  // A slow machine turns the request above away at the door, too.
  const double rejected = scripted.metrics.rejected_deadline.value();
  request.deadline = now() - std::chrono::milliseconds(1);  // while it waited for the text pool
  whole = ask(&scripted, request);
  ASSERT_FALSE(whole.error.ok());
  EXPECT_EQ(whole.error.code(), StatusCode::kTimeout);
  EXPECT_EQ(scripted.metrics.rejected_deadline.value(), rejected + 1);
  EXPECT_TRUE(scripted.engine->drain(60));
}

TEST(OutputStream, AbortIsHeardByTheReader) {
  ScriptedEngine scripted;
  scripted.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
  scripted.on_step = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return Status();
  };
  scripted.start();
  for (bool early : {true, false}) {
    Reader reader;
    auto stream = admit(scripted.intake.get(), text_request(), reader.wake());
    ASSERT_TRUE(stream.ok());
    if (early) stream->abort();  // perhaps before it is tokenized
    int seen = 0;
    TextDelta delta;
    FinishReason finish = FinishReason::kNone;
    while (!stream->done()) {
      if (!stream->next(&delta)) {
        ASSERT_TRUE(reader.wait(&seen));
        continue;
      }
      if (delta.counts.num_output >= 3) stream->abort();
      finish = delta.finish;
    }
    EXPECT_EQ(finish, FinishReason::kAbort);
    EXPECT_LT(delta.counts.num_output, 100);
  }
  EXPECT_TRUE(scripted.engine->drain(60));
}

TEST(OutputStream, EngineFailureIsAGeneralError) {
  ScriptedEngine scripted;
  std::atomic<int> steps{0};
  scripted.on_step = [&] { return ++steps > 3 ? internal_error("secret detail") : Status(); };
  scripted.start();
  Whole whole = ask(&scripted, text_request());
  ASSERT_FALSE(whole.error.ok());
  EXPECT_EQ(whole.error.code(), StatusCode::kInternal);
  EXPECT_EQ(whole.error.message(), "secret detail") << "for the log: openai/ keeps it from clients";
  EXPECT_EQ(ask(&scripted, text_request()).refused.code(), StatusCode::kUnavailable);
}

// Streams read, dropped and cancelled from many threads at once: nothing stays in the engine.
TEST(OutputStream, ManyReadersAndLeavers) {
  ScriptedEngine scripted;
  scripted.start();
  std::vector<std::thread> threads;
  std::atomic<int> whole_answers{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&scripted, &whole_answers, t] {
      for (int i = 0; i < 12; ++i) {
        Question request = text_request();
        request.n = 1 + i % 3;
        if ((i + t) % 3 == 0) {
          auto stream = admit(scripted.intake.get(), request, [] {});
          if (stream.ok() && i % 2 == 0) stream->cancel();
          continue;
        }
        Whole whole = ask(&scripted, request);
        for (const auto& [key, answer] : whole.choices) whole_answers += answer.text == "Hello, world.";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(whole_answers, 0);
  scripted.text_pool.reset();
  EXPECT_TRUE(scripted.engine->drain(60));
  EXPECT_EQ(scripted.engine->stats().kv_usage, 0);
}

}  // namespace
}  // namespace pagoda
