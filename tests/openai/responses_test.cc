#include "openai/responses.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/json.h"
#include "tests/openai/events.h"

namespace pagoda {
namespace {

using testing::chunk_of;
using testing::data_of;
using testing::usage_chunk_of;

const ResponseHead kHead{"id-1", "m", "", 1700000000};

TokenLogprobText token(TokenId id, const char* bytes, float logprob, std::vector<TokenText> top = {}) {
  TokenLogprobText out;
  out.token = {id, bytes, logprob, 1};
  out.top = std::move(top);
  return out;
}

TEST(ErrorBody, HasTheFourMembers) {
  EXPECT_EQ(
      write_error({404, "The model `x` does not exist.", "NotFoundError", ""}),
      R"({"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":null,"code":404}})");
  EXPECT_EQ(write_error({400, "a\"b", "BadRequestError", "n"}),
            R"({"error":{"message":"a\"b","type":"BadRequestError","param":"n","code":400}})");
}

TEST(ErrorBody, DoesNotRepeatAllThatAClientSent) {
  const std::string body = write_error({400, "\u00e9" + std::string(100'000, 'x'), "BadRequestError", ""});
  EXPECT_LT(body.size(), 5000u);
  EXPECT_NE(body.find("xxx...\""), std::string::npos);
}

TEST(ChatChunks, RoleTextAndUsage) {
  ResponseShape shape;
  std::string events;
  TextDelta first;
  first.prompt_token_ids = {7, 8};
  chat_format().begin(&events, kHead, shape, 3, first);
  ASSERT_EQ(data_of(events).size(), 3u) << "one for each choice";
  EXPECT_EQ(
      data_of(events)[2],
      R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[)"
      R"({"index":2,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null})");
  TextDelta delta;
  delta.text = "hi\n";
  EXPECT_EQ(
      chunk_of(chat_format(), kHead, shape, delta),
      R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[)"
      R"({"index":0,"delta":{"content":"hi\n"},"logprobs":null,"finish_reason":null,"token_ids":null}]})");
  shape.continuous_usage = true;
  delta.counts = {.num_prompt = 3, .num_cached = 1, .num_output = 2};
  delta.finish = FinishReason::kStop;
  delta.stop_reason = std::string("END");
  EXPECT_EQ(
      chunk_of(chat_format(), kHead, shape, delta),
      R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[)"
      R"({"index":0,"delta":{"content":"hi\n"},"logprobs":null,"finish_reason":"stop","stop_reason":"END",)"
      R"("token_ids":null}],)"
      R"("usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2}})");
  EXPECT_EQ(usage_chunk_of(chat_format(), kHead, shape, {Usage{3, 2, 1, 16}, {}}),
            R"({"id":"id-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[],)"
            R"("usage":{"prompt_tokens":3,"total_tokens":5,"completion_tokens":2,)"
            R"("prompt_tokens_details":{"cached_tokens":1,"created_cache_tokens":16}}})");
  events.clear();
  chat_format().end(&events, kHead, shape, {Usage{3, 2}, {}});
  EXPECT_EQ(events, "data: [DONE]\n\n") << "no usage is wanted";
}

TEST(ChatResponse, Whole) {
  ResponseShape shape;
  shape.return_token_ids = true;
  ChoiceResult choice;
  TextDelta first;
  first.text = "a";
  first.token_ids = {7};
  first.prompt_token_ids = {1, 2};
  choice.append(std::move(first));
  TextDelta last;
  last.text = "b";
  last.token_ids = {8};
  last.finish = FinishReason::kStop;
  last.stop_reason = TokenId{8};
  choice.append(std::move(last));
  EXPECT_EQ(
      chat_format().whole(kHead, shape, {choice}, {Usage{2, 2}, {}}),
      R"({"id":"id-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":"ab","refusal":null,"reasoning":null},)"
      R"("logprobs":null,"finish_reason":"stop","stop_reason":8,"token_ids":[7,8]}],"service_tier":null,)"
      R"("usage":{"prompt_tokens":2,"total_tokens":4,"completion_tokens":2},"prompt_logprobs":null,)"
      R"("prompt_token_ids":[1,2]})");
}

Value logprobs_of(const std::string& json) {
  Result<Value> value = parse_json(json);
  EXPECT_TRUE(value.ok()) << json;
  return *value->find("choices")->as_array()[0].find("logprobs");
}

TEST(Logprobs, ChatShape) {
  ResponseShape shape;
  shape.num_logprobs = 2;
  TextDelta delta;
  const float kMinusInf = -std::numeric_limits<float>::infinity();
  delta.logprobs = {token(5, "\xc3", -0.5f, {{5, "\xc3", -0.5f, 1}, {6, "b", kMinusInf, 2}})};
  EXPECT_EQ(write_json(logprobs_of(chunk_of(chat_format(), kHead, shape, delta))),
            R"({"content":[{"token":"","logprob":-0.5,"bytes":[195],"top_logprobs":[)"
            R"({"token":"","logprob":-0.5,"bytes":[195]},{"token":"b","logprob":-9999.0,"bytes":[98]}]}],)"
            R"("refusal":null})");
  shape.return_tokens_as_token_ids = true;
  EXPECT_EQ(logprobs_of(chunk_of(chat_format(), kHead, shape, delta))
                .find("content")
                ->as_array()[0]
                .find("token")
                ->as_string(),
            "token_id:5");
}

TEST(Logprobs, CompletionShapeWithOffsetsInCharacters) {
  ResponseShape shape;
  shape.num_logprobs = 1;
  TextDelta delta;
  delta.logprobs = {token(5, "é", -0.5f, {{6, "x", -0.25f, 1}}),
                    token(7, "\xa9", -1.0f, {{8, "\xa8", -0.5f, 1}})};
  delta.logprobs[0].text_offset = 10;
  delta.logprobs[1].text_offset = 11;
  delta.logprobs[1].open = "\xc3";
  EXPECT_EQ(write_json(logprobs_of(chunk_of(completion_format(), kHead, shape, delta))),
            R"({"text_offset":[10,11],"token_logprobs":[-0.5,-1.0],"tokens":["é","é"],)"
            R"("top_logprobs":[{"x":-0.25,"é":-0.5},{"è":-0.5,"é":-1.0}]})");
}

TEST(Logprobs, EchoPutsThePromptFirst) {
  ResponseShape shape;
  shape.num_logprobs = 0;
  shape.echo = true;
  ChoiceResult choice;
  choice.whole.prompt_text = "ab";
  choice.whole.text = "c";
  choice.whole.prompt_logprobs = {token(1, "a", 0), token(2, "b", -2.0f)};
  choice.whole.prompt_logprobs[0].has_logprob = false;
  choice.whole.logprobs = {token(3, "c", -3.0f)};
  choice.whole.prompt_logprobs[1].text_offset = 1;
  choice.whole.logprobs[0].text_offset = 2;
  std::string json = completion_format().whole(kHead, shape, {choice}, {Usage{2, 1}, {}});
  EXPECT_EQ(write_json(logprobs_of(json)),
            R"({"text_offset":[0,1,2],"token_logprobs":[null,-2.0,-3.0],"tokens":["a","b","c"],)"
            R"("top_logprobs":[null,{"b":-2.0},{"c":-3.0}]})");
  EXPECT_EQ(parse_json(json)->find("choices")->as_array()[0].find("text")->as_string(), "abc");
}

TEST(Logprobs, OfThePrompt) {
  ResponseShape shape;
  shape.num_prompt_logprobs = 1;
  ChoiceResult choice;
  choice.whole.prompt_logprobs = {token(1, "a", 0),
                                  token(2, "b", -2.0f, {{9, "z", -0.5f, 1}, {2, "b", -2.0f, 2}})};
  choice.whole.prompt_logprobs[0].has_logprob = false;
  choice.whole.prompt_logprobs[1].token.rank = 2;
  ChoiceResult second;  // of the same prompt: all choices show it
  second.index = second.whole.choice = 1;
  Value value = *parse_json(completion_format().whole(kHead, shape, {choice, second}, {Usage{2, 1}, {}}));
  for (const Value& shown : value.find("choices")->as_array())
    EXPECT_EQ(write_json(*shown.find("prompt_logprobs")),
              R"([null,{"2":{"logprob":-2.0,"rank":2,"decoded_token":"b"},)"
              R"("9":{"logprob":-0.5,"rank":1,"decoded_token":"z"}}])");
}

TEST(Metrics, AreTheLastMember) {
  const AnswerEnd end{
      {}, RequestMetrics{.time_to_first_token_ms = 1.5, .queue_time_ms = 0, .tokens_per_second = 20}};
  for (const AnswerFormat* format : {&chat_format(), &completion_format()})
    for (const std::string& json :
         {format->whole(kHead, {}, {}, end), usage_chunk_of(*format, kHead, {}, end)})
      EXPECT_TRUE(json.ends_with(R"(,"metrics":{"time_to_first_token_ms":1.5,"generation_time_ms":null,)"
                                 R"("queue_time_ms":0.0,"mean_itl_ms":null,"tokens_per_second":20.0}})"))
          << json;
}

TEST(ChatChunks, TokenIdsOfThePromptAreInTheFirst) {
  ResponseShape shape;
  shape.return_token_ids = true;
  TextDelta first;
  first.prompt_token_ids = {7, 8};
  std::string role;
  chat_format().begin(&role, kHead, shape, 1, first);
  EXPECT_NE(role.find(R"("prompt_token_ids":[7,8])"), std::string::npos) << role;
  TextDelta delta;
  delta.token_ids = {9};
  delta.prompt_token_ids = {7, 8};
  std::string chunk = chunk_of(chat_format(), kHead, shape, delta);
  EXPECT_NE(chunk.find(R"("token_ids":[9])"), std::string::npos) << chunk;
  EXPECT_EQ(chunk.find("prompt_token_ids"), std::string::npos) << chunk;
}

TEST(Streams, EndWithTheErrorThatBreaksThemOff) {
  for (const AnswerFormat* format : {&chat_format(), &completion_format()}) {
    std::string events;
    format->error(&events, {503, "full", "ServiceUnavailableError", ""});
    EXPECT_EQ(data_of(events),
              (std::vector<std::string>{R"({"error":{"message":"full","type":"ServiceUnavailableError",)"
                                        R"("param":null,"code":503}})",
                                        "[DONE]"}));
  }
}

TEST(PlainAnswers, ModelsAndTokens) {
  std::string models = write_models({{"m", "/r", 5, 64}});
  EXPECT_EQ(
      models.substr(0, models.find("\"permission\"")),
      R"({"object":"list","data":[{"id":"m","object":"model","created":5,"owned_by":"vllm","root":"/r",)"
      R"("parent":null,"max_model_len":64,)");
  const Value list = *parse_json(models);
  const Value& permission = list.find("data")->as_array()[0].find("permission")->as_array()[0];
  EXPECT_TRUE(permission.find("allow_sampling")->as_bool());
  EXPECT_FALSE(permission.find("is_blocking")->as_bool());
  TokenizeAnswer answer{64, {1, 2}, true, {"a", "b"}};
  EXPECT_EQ(write_tokenize_response(answer),
            R"({"count":2,"max_model_len":64,"tokens":[1,2],"token_strs":["a","b"]})");
  EXPECT_EQ(write_detokenize_response("x\ny"), R"({"prompt":"x\ny"})");
}

}  // namespace
}  // namespace pagoda
