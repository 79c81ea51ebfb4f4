#include "loadgen/openai_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace pagoda {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string event(const std::string& json) {
  return "data: " + json + "\n\n";
}
std::string text_chunk(const std::string& text, const std::string& finish = "null") {
  return event(R"({"choices":[{"index":0,"text":")" + text + R"(","finish_reason":)" + finish + "}]}");
}
std::string chat_chunk(const std::string& delta, const std::string& finish = "null") {
  return event(R"({"choices":[{"index":0,"delta":)" + delta + R"(,"finish_reason":)" + finish + "}]}");
}
const std::string kDone = "data: [DONE]\n\n";

// Pieces of a body, the i-th arriving at second i + 1 of a request sent at 0.5.
RequestRecord read(const std::vector<std::string>& pieces, bool chat = false, int http_status = 200,
                   const Status& transport = {}, const std::string& error_body = "") {
  RequestRecord record;
  AnswerReader reader(&record, chat, /*keep_text=*/true, 0.5);
  double now = 0;
  for (const std::string& piece : pieces)
    if (!reader.feed(piece, now += 1)) break;
  reader.finish(transport, http_status, error_body, now);
  return record;
}

TEST(AnswerReader, VllmCompletions) {
  RequestRecord record =
      read({text_chunk("a"), text_chunk(" b"), text_chunk(" c", "\"length\""),
            event(R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}})") + kDone});
  ASSERT_TRUE(record.success) << record.error;
  EXPECT_EQ(record.ttft, 0.5);
  EXPECT_THAT(record.itls, ElementsAre(1, 1));
  EXPECT_EQ(record.latency, 2.5);
  EXPECT_EQ(record.generated_text, "a b c");
  EXPECT_TRUE(record.has_usage);
  EXPECT_EQ(record.prompt_len, 7);
  EXPECT_EQ(record.output_len, 3);
}

TEST(AnswerReader, VllmChatRoleChunkIsNotTheFirstToken) {
  RequestRecord record =
      read({chat_chunk(R"({"role":"assistant","content":""})"), chat_chunk(R"({"content":"x"})"),
            chat_chunk(R"({"reasoning_content":"y"})"), chat_chunk(R"({"tool_calls":[{"index":0}]})"),
            chat_chunk("{}", "\"stop\""), kDone},
           true);
  ASSERT_TRUE(record.success) << record.error;
  EXPECT_EQ(record.ttft, 1.5);
  EXPECT_THAT(record.itls, ElementsAre(1, 1));
  EXPECT_EQ(record.latency, 4.5) << "to the finish chunk, as vLLM counts";
  EXPECT_FALSE(record.has_usage);
  EXPECT_EQ(record.output_len, 3) << "without usage chunks are counted";
}

TEST(AnswerReader, LlamaServerRoleWithContentAndTimings) {
  RequestRecord record = read(
      {chat_chunk(R"({"role":"assistant","content":null})"), chat_chunk(R"({"content":"a"})"),
       event(R"({"choices":[{"finish_reason":"length","index":0,"delta":{}}],)"
             R"("usage":{"completion_tokens":5,"prompt_tokens":4,"total_tokens":9},"timings":{"a":1.5}})") +
           kDone},
      true);
  ASSERT_TRUE(record.success) << record.error;
  EXPECT_EQ(record.ttft, 1.5);
  EXPECT_THAT(record.itls, ElementsAre(1));
  EXPECT_EQ(record.output_len, 5) << "several tokens in a chunk: usage knows";
}

TEST(AnswerReader, FramingOfOtherServers) {
  std::string body =
      ": ping\r\n\r\nevent: message\r\nid: 1\r\ndata:" +
      std::string(R"({"choices":[{"text":"a","finish_reason":null}],"usage":null})") +
      "\r\n\r\ndata: {\"choices\":[{\"text\":\"b\",\r\ndata: \"finish_reason\":\"stop\"}]}\r\n\r\n" +
      "data: [DONE]";
  for (std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{17}, body.size()}) {
    std::vector<std::string> pieces;
    for (std::size_t i = 0; i < body.size(); i += size) pieces.push_back(body.substr(i, size));
    RequestRecord record = read(pieces);
    ASSERT_TRUE(record.success) << record.error;
    EXPECT_EQ(record.generated_text, "ab");
    EXPECT_EQ(record.output_len, 2);
  }
}

TEST(AnswerReader, TokensWithoutTextCount) {
  RequestRecord record = read({text_chunk(""), text_chunk("é"), text_chunk("", "\"stop\""), kDone});
  ASSERT_TRUE(record.success) << record.error;
  EXPECT_EQ(record.ttft, 0.5) << "a token whose characters are not complete";
  EXPECT_EQ(record.output_len, 2);
  record = read({text_chunk("", "\"stop\""), kDone});
  ASSERT_TRUE(record.success) << record.error;
  EXPECT_EQ(record.ttft, 0.5) << "an answer that ends at once";
  EXPECT_EQ(record.output_len, 1);
}

TEST(AnswerReader, UsageTellsWhetherALastChunkWithoutTextIsAToken) {
  auto usage = [](int count) {
    return event(R"({"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":)" + std::to_string(count) +
                 "}}");
  };
  RequestRecord record = read({text_chunk("a"), text_chunk("b"), text_chunk("", "\"stop\""), usage(3)});
  EXPECT_THAT(record.itls, ElementsAre(1, 1)) << "the end of text";
  record = read({text_chunk("a"), text_chunk("b"), text_chunk("", "\"stop\""), usage(2)});
  EXPECT_THAT(record.itls, ElementsAre(1));
  EXPECT_EQ(record.latency, 2.5);
}

TEST(AnswerReader, UsageThatCountsNoTokensIsNone) {
  for (const char* count : {"9223372036854775807", "9223372036854775808", "4294967297", "-1", "1e300", "1.5",
                            "\"3\"", "null", "[]"}) {
    const std::string usage = event(std::string(R"({"choices":[],"usage":{"prompt_tokens":)") + count +
                                    R"(,"completion_tokens":)" + count + "}}");
    RequestRecord record = read({text_chunk("a"), text_chunk("b", "\"stop\""), usage, kDone});
    ASSERT_TRUE(record.success) << record.error;
    EXPECT_FALSE(record.has_usage) << count;
    EXPECT_EQ(record.output_len, 2) << count;
  }
}

TEST(AnswerReader, UsageOnEveryChunkAndTwoChunksAtOnce) {
  auto chunk = [](int count) {
    return event(R"({"choices":[{"text":"a","finish_reason":null}],"usage":{"completion_tokens":)" +
                 std::to_string(count) + R"(,"prompt_tokens":2}})");
  };
  RequestRecord record = read({chunk(1) + chunk(2), chunk(3), kDone});
  ASSERT_TRUE(record.success) << record.error;
  EXPECT_THAT(record.itls, ElementsAre(0, 1));
  EXPECT_EQ(record.output_len, 3);
}

TEST(AnswerReader, Failures) {
  EXPECT_THAT(read({}, false, 429, {}, R"({"error":{"message":"queue is full"}})").error,
              HasSubstr("429: queue is full"));
  EXPECT_THAT(read({}, false, 400, {}, R"({"object":"error","message":"bad"})").error, HasSubstr("400: bad"));
  EXPECT_THAT(read({}, false, 502, {}, "<html>").error, HasSubstr("502: <html>"));
  EXPECT_THAT(read({text_chunk("a")}, false, 200, io_error("cut")).error, "cut");
  EXPECT_THAT(read({text_chunk("a")}).error, HasSubstr("without finish_reason"));
  EXPECT_THAT(read({R"({"choices":[{"text":"whole answer"}]})"}).error, HasSubstr("streaming"));
  EXPECT_THAT(read({event("{nonsense")}).error, HasSubstr("not JSON"));
  EXPECT_THAT(read({text_chunk("a"), event(R"({"error":{"message":"engine died","code":500}})")}).error,
              HasSubstr("engine died"));
  EXPECT_THAT(read({"data: " + std::string(17 << 20, 'x')}).error, HasSubstr("endless"));
  EXPECT_FALSE(read({}, false, 500).success);
  // What is of a wrong type is passed over, not trusted.
  EXPECT_FALSE(read({event(R"({"choices":[{"delta":7}]})"), event(R"({"choices":{}})"), event("5"),
                     event(R"({"usage":[1],"choices":[null]})")},
                    true)
                   .success);
}

TEST(RequestBody, CompletionsAndChat) {
  RequestStyle style;
  style.model = "m";
  style.ignore_eos = true;
  style.extra_body.set("temperature", 0.5);
  BenchPrompt prompt{"hi", {}, 1, 9};
  Value body = parse_json(request_body(style, prompt)).value();
  EXPECT_EQ(body.find("prompt")->as_string(), "hi");
  EXPECT_EQ(body.find("max_tokens")->as_int(), 9);
  EXPECT_TRUE(body.find("stream")->as_bool());
  EXPECT_TRUE(body.find("stream_options")->find("include_usage")->as_bool());
  EXPECT_TRUE(body.find("ignore_eos")->as_bool());
  EXPECT_EQ(body.find("temperature")->as_double(), 0.5);
  prompt.ids = {4, 5};
  EXPECT_EQ(write_json(*parse_json(request_body(style, prompt)).value().find("prompt")), "[4,5]");
  style.chat = true;
  style.logprobs = 3;
  style.extra_body.set("max_tokens", 1);
  body = parse_json(request_body(style, prompt)).value();
  EXPECT_EQ(body.find("messages")->as_array()[0].find("content")->as_string(), "hi");
  EXPECT_EQ(body.find("top_logprobs")->as_int(), 3);
  EXPECT_EQ(body.find("max_tokens")->as_int(), 1) << "the extra body wins";
}

}  // namespace
}  // namespace pagoda
