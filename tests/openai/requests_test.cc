#include "openai/requests.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/json.h"
#include "openai/lax_values.h"
#include "tests/openai/bodies.h"

namespace pagoda {
namespace {

using testing::chat;
using testing::chat_body;
using testing::expect_error;
using testing::text;
using testing::text_body;

TEST(ChatRequest, DefaultsAreTheApis) {
  ParsedRequest request = chat(chat_body(R"("model":"m")"));
  EXPECT_EQ(request.generate.model, "m");
  EXPECT_EQ(request.generate.prompt_field, "messages");
  EXPECT_EQ(request.shape.n, 1);
  EXPECT_FALSE(request.generate.sampling.temperature || request.generate.sampling.top_p ||
               request.generate.sampling.top_k || request.generate.sampling.max_tokens ||
               request.generate.sampling.seed);
  EXPECT_FALSE(request.shape.stream || request.shape.include_usage || request.shape.echo ||
               request.generate.add_special_tokens);
  EXPECT_TRUE(request.shape.skip_special_tokens);
  EXPECT_FALSE(request.shape.num_logprobs);
  EXPECT_FALSE(request.shape.num_prompt_logprobs);
  const auto& prompt = std::get<ChatPrompt>(request.generate.prompt);
  EXPECT_TRUE(prompt.add_generation_prompt);
  EXPECT_TRUE(prompt.tools.is_null());
}

TEST(ChatRequest, ReadsEveryField) {
  ParsedRequest request = chat(chat_body(R"(
    "temperature":0.5,"top_p":0.9,"top_k":5,"min_p":0.1,"repetition_penalty":1.1,"frequency_penalty":-2,
    "presence_penalty":2,"logit_bias":{"7":1.5,"3":-200,"07":2},"seed":-9223372036854775808,"n":3,"stop":["a","b"],
    "stop_token_ids":[9,4,9],"include_stop_str_in_output":true,"ignore_eos":true,"min_tokens":2,
    "skip_special_tokens":false,"spaces_between_special_tokens":false,"allowed_token_ids":[2,1],"bad_words":["x"],
    "truncate_prompt_tokens":-1,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},"cache_salt":"s",
    "request_id":"r","return_token_ids":true,"return_tokens_as_token_ids":true,"max_tokens":4,
    "max_completion_tokens":16.0,"logprobs":true,"top_logprobs":5,"echo":true,"user":"u","priority":0,
    "reasoning_effort":"low","chat_template":"{{1}}","chat_template_kwargs":{"enable_thinking":false},
    "documents":[{"text":"d"}],"response_format":{"type":"text"},"modalities":["text"],"unheard_of":{"a":1},
    "logprob_token_ids":null,"tool_choice":"none")"));
  const SamplingFields& s = request.generate.sampling;
  EXPECT_EQ(s.temperature, 0.5);
  EXPECT_EQ(s.top_k, 5);
  EXPECT_EQ(s.frequency_penalty, -2);
  EXPECT_EQ(s.logit_bias, (std::vector<std::pair<TokenId, float>>{{3, -100.0f}, {7, 2.0f}}));
  EXPECT_EQ(s.seed, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(s.stop_token_ids, (std::vector<TokenId>{4, 9}));
  EXPECT_EQ(s.max_tokens, 16);
  EXPECT_EQ(s.min_tokens, 2);
  EXPECT_EQ(request.shape.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.shape.num_logprobs, 5);
  EXPECT_EQ(request.generate.truncate_prompt_tokens, -1);
  EXPECT_TRUE(request.shape.include_usage && request.shape.continuous_usage &&
              request.shape.return_tokens_as_token_ids);
  const auto& prompt = std::get<ChatPrompt>(request.generate.prompt);
  EXPECT_EQ(prompt.template_kwargs.find("reasoning_effort")->as_string(), "low");
  EXPECT_EQ(prompt.template_kwargs.find("documents")->as_array().size(), 1u);
  EXPECT_EQ(prompt.chat_template, "{{1}}");
}

TEST(ChatRequest, NullIsAbsent) {
  ParsedRequest request =
      chat(chat_body(R"("temperature":null,"n":null,"stop":null,"tools":null,"tool_choice":null,
      "response_format":null,"stream":null,"stream_options":null,"logprobs":null,"seed":null,"logit_bias":null)"));
  EXPECT_EQ(request.shape.n, 1);
  EXPECT_TRUE(request.shape.stop.empty());
}

TEST(ChatRequest, MessagesAreNormalized) {
  ParsedRequest request = chat(R"({"messages":[
    {"role":"system","content":"s","x":1},
    {"role":"user","content":["a",{"type":"text","text":"b"},{"type":"input_text","text":"c"}],"name":"joe"},
    {"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"k\":[1]}"}},
                                      {"function":{"name":"g"}}],"reasoning":"r"},
    {"role":"tool","tool_call_id":"1","content":"42"}]})");
  Array messages = std::get<ChatPrompt>(request.generate.prompt).messages;
  EXPECT_EQ(write_json(Value(messages)),
            R"([{"role":"system","content":"s"},)"
            R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},)"
            R"({"type":"text","text":"c"}],"name":"joe"},)"
            R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":)"
            R"({"name":"f","arguments":{"k":[1]}}},{"function":{"name":"g","arguments":{}}}],)"
            R"("reasoning":"r","reasoning_content":"r"},)"
            R"({"role":"tool","content":"42","tool_call_id":"1"}])");
}

// Members that a role does not have are not looked at, and an assistant's thoughts are the template's to
// judge.
TEST(ChatRequest, EachRoleHasItsMembers) {
  ParsedRequest request = chat(R"({"messages":[
    {"role":"user","content":"u","reasoning":5,"tool_call_id":5,"tool_calls":[{"a":1}]},
    {"role":"assistant","content":"a","reasoning":5,"tool_call_id":5},
    {"role":"assistant","content":"b","reasoning_content":""},
    {"role":"tool","content":"t","tool_call_id":"1","name":5,"reasoning_content":[1]}]})");
  EXPECT_EQ(write_json(Value(std::get<ChatPrompt>(request.generate.prompt).messages)),
            R"([{"role":"user","content":"u"},)"
            R"({"role":"assistant","content":"a","reasoning":5,"reasoning_content":5},)"
            R"({"role":"assistant","content":"b","reasoning":"","reasoning_content":""},)"
            R"({"role":"tool","content":"t","tool_call_id":"1"}])");
}

// Judged where the model is known; beyond that a count is only handed on.
TEST(CommonFields, CountsOfLogprobsStayWhatWasSent) {
  const std::pair<const char*, int64_t> counts[] = {{"0", 0},
                                                    {"-1", kAllLogprobs},
                                                    {"2147483647", 2147483647},
                                                    {"2147483648", 2147483648},
                                                    {"9223372036854775807", kInt64Max}};
  for (const auto& [count, expected] : counts) {
    const std::string prompt = R"(,"prompt_logprobs":)" + std::string(count);
    ParsedRequest of_text = text(text_body(R"("logprobs":)" + std::string(count) + prompt));
    EXPECT_EQ(of_text.shape.num_logprobs, expected);
    EXPECT_EQ(of_text.shape.num_prompt_logprobs, expected);
    EXPECT_EQ(chat(chat_body(R"("logprobs":true,"top_logprobs":)" + std::string(count))).shape.num_logprobs,
              expected);
  }
}

// What agents send back of a conversation, with what vLLM makes of it.
TEST(ChatRequest, HistoriesOfAgentsAreTaken) {
  struct Case {
    const char *message, *expected;
  };
  const Case kCases[] = {
      {R"({"role":"user"})", R"({"role":"user","content":null})"},
      {R"({"role":"user","content":null})", R"({"role":"user","content":null})"},
      {R"({"role":"ipython","content":"5"})", R"({"role":"ipython","content":"5"})"},
      {R"({"role":"observation","content":"5"})", R"({"role":"observation","content":"5"})"},
      {R"({"role":"user","content":[]})", R"({"role":"user","content":[]})"},
      {R"({"role":"user","content":[{"type":"text","text":null},{"type":"text","text":"a"},{"type":"text"}]})",
       R"({"role":"user","content":[{"type":"text","text":"a"}]})"},
      {R"({"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"refusal","refusal":null},
                                         {"type":"refusal","refusal":"no"}]})",
       R"({"role":"assistant","content":[{"type":"text","text":"hm"},{"type":"text","text":"no"}]})"},
      {R"({"role":"developer","content":"d","tools":[{"type":"function"}]})",
       R"({"role":"developer","content":"d","tools":[{"type":"function"}]})"},
      {R"({"role":"developer","content":"d"})", R"({"role":"developer","content":"d","tools":null})"},
      {R"({"role":"developer","content":"d","tools":[]})",
       R"({"role":"developer","content":"d","tools":[]})"},
      {R"({"role":"tool","name":"f","tool_call_id":"1","content":"t"})",
       R"({"role":"tool","content":"t","tool_call_id":"1","name":"f"})"},
      {R"({"role":"tool","name":"","content":"t"})", R"({"role":"tool","content":"t","name":""})"},
      {R"({"role":"function","name":"f","content":"t"})", R"({"role":"function","content":"t","name":"f"})"},
      {R"({"role":"ipython","name":"f","content":"t","tool_call_id":"1"})",
       R"({"role":"ipython","content":"t","name":"f"})"},
      {R"({"role":"user","content":"u","task":"action"})",
       R"({"role":"user","content":"u","task":"action"})"},
      {R"({"role":"user","content":"u","task":5})", R"({"role":"user","content":"u"})"},
      {R"({"role":"assistant","task":"a","name":"n","reasoning":"r","content":"c","tool_calls":[]})",
       R"({"role":"assistant","content":"c","reasoning":"r","reasoning_content":"r","name":"n","task":"a"})"},
      {R"({"role":"assistant","content":"c","tool_calls":{}})", R"({"role":"assistant","content":"c"})"},
      {R"({"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"},"so"]}]})",
       R"({"role":"assistant","content":[{"type":"text","text":"hm\nso"}]})"},
      {R"({"role":"assistant","content":[{"type":"thinking","thinking":[]}]})",
       R"({"role":"assistant","content":[{"type":"text","text":""}]})"},
      {R"({"role":"tool","content":[{"type":"text","text":"t"},{"type":"tool_reference","name":"f","x":1},
                                    {"type":"tool_reference"}]})",
       R"({"role":"tool","content":[{"type":"text","text":"t"},{"type":"tool_reference","name":"f"}]})"},
      {R"({"role":"user","content":"u","tools":[1]})", R"({"role":"user","content":"u"})"},
  };
  for (const Case& c : kCases) {
    ParsedRequest request = chat("{\"messages\":[" + std::string(c.message) + "]}");
    EXPECT_EQ(write_json(std::get<ChatPrompt>(request.generate.prompt).messages[0]), c.expected) << c.message;
  }
}

// A model's own slip must not end the conversation that it stands in.
TEST(ChatRequest, BrokenArgumentsOfACallCountAsNone) {
  for (const char* arguments : {"\"{\"", "\"\"", "null", "3", "[1]", "\"[1]\"", "\"42\"", "\"true\"",
                                "\"{'a': 1}\"", "\"{\\\"a\\\": 1}}\"", "\"not JSON\"", "{}"}) {
    std::string calls = R"([{"function":{"name":"f","arguments":)" + std::string(arguments) + "}}]";
    ParsedRequest request = chat(R"({"messages":[{"role":"assistant","tool_calls":)" + calls + "}]}");
    EXPECT_EQ(write_json(*std::get<ChatPrompt>(request.generate.prompt).messages[0].find("tool_calls")),
              R"([{"function":{"name":"f","arguments":{}}}])")
        << arguments;
  }
}

TEST(ChatRequest, ToolsReachTheTemplate) {
  std::string tools = R"("tools":[{"type":"function","function":{"name":"f","parameters":{}}}])";
  for (const char* choice :
       {R"(,"tool_choice":null)", R"(,"tool_choice":"none","parallel_tool_calls":false)"}) {
    ParsedRequest request = chat(chat_body(tools + choice));
    EXPECT_EQ(std::get<ChatPrompt>(request.generate.prompt).tools.as_array().size(), 1u) << choice;
  }
  RequestLimits limits;
  limits.exclude_tools_when_tool_choice_none = true;
  auto request = parse_chat_request(chat_body(tools + R"(,"tool_choice":"none")"), limits);
  EXPECT_TRUE(std::get<ChatPrompt>(request->generate.prompt).tools.is_null());
}

TEST(ChatRequest, ContinuesTheFinalMessage) {
  ParsedRequest request = chat(chat_body(R"("continue_final_message":true,"add_generation_prompt":false)"));
  EXPECT_TRUE(std::get<ChatPrompt>(request.generate.prompt).continue_final_message);
}

TEST(Service, FieldsThatSayWhenAndForWhom) {
  RequestLimits limits;
  ParsedRequest request = *parse_chat_request(
      chat_body(R"("timeout":2.5,"user":"ann","priority":-3,"stream_interval":4)"), limits);
  EXPECT_EQ(request.timeout_s, 2.5);
  EXPECT_EQ(request.user, "ann");
  EXPECT_EQ(request.generate.priority, -3);
  EXPECT_EQ(request.shape.stream_interval, 4);
  request = *parse_chat_request(chat_body(R"("timeout":null,"priority":0)"), {});
  EXPECT_EQ(request.timeout_s, 0);
  EXPECT_EQ(request.generate.priority, 0);
}

TEST(AbortRequest, Ids) {
  EXPECT_EQ(**parse_abort_request(R"({"request_ids":["a","b"]})"), (std::vector<std::string>{"a", "b"}));
  for (const char* all : {"{}", R"({"request_ids":[]})", R"({"request_ids":null})"})
    EXPECT_FALSE(parse_abort_request(all)->has_value()) << all;
  expect_error(parse_abort_request("[]").status(), "", "no object");
  expect_error(parse_abort_request("{").status(), "", "no JSON");
  expect_error(parse_abort_request(R"({"request_ids":"a"})").status(), "body.request_ids", "no list");
  expect_error(parse_abort_request(R"({"request_ids":[1]})").status(), "body.request_ids.0", "no string");
}

TEST(ToolCalls, AreRefusedWithTheFlagsThatAreMissing) {
  std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}}])";
  for (const char* choice : {"", R"(,"tool_choice":"auto")"}) {
    Status status = parse_chat_request(chat_body(tools + choice), {}).status();
    EXPECT_NE(status.message().find("--enable-auto-tool-choice"), std::string::npos) << status.message();
    EXPECT_NE(status.message().find("--tool-call-parser"), std::string::npos) << status.message();
  }
}

TEST(BadBodies, AreErrorsOfTheBody) {
  struct {
    std::string body, param;
  } const cases[] = {
      {"", "body"},
      {"null", "body"},
      {"[]", "body"},
      {"\"x\"", "body"},
      {"true", "body"},
      {"  ", "body.2"},
      {"{", "body.1"},
      {"{'prompt':'a'}", "body.1"},
      {R"({"prompt":"a","n":1)", "body.19"},
      {R"({"prompt":"a"}{})", "body.14"},
      {R"({"prompt":"a",})", "body.14"},
      {"{\"prompt\":\"a\nb\"}", "body.12"},
      {R"({"prompt":"é",})", "body.14"},  // counted in characters
  };
  for (const auto& bad : cases) {
    expect_error(parse_completion_request(bad.body, {}).status(), bad.param, bad.body);
    expect_error(parse_chat_request(bad.body, {}).status(), bad.param, bad.body);
    expect_error(parse_tokenize_request(bad.body, {}).status(), bad.param, bad.body);
    expect_error(parse_detokenize_request(bad.body).status(), bad.param, bad.body);
  }
  const std::string refused[] = {
      R"({"prompt":"a","temperature":NaN})",
      R"({"prompt":"a","temperature":1e400})",
      R"({"prompt":"a","temperature":Infinity})",
      R"({"prompt":"\ud800"})",
      R"({"prompt":"\udc00\ud800"})",
      "{\"prompt\":\"\xff\"}",
      "{\"prompt\":\"\xed\xa0\x80\"}",
      "{\"prompt\":" + std::string(100000, '[') + std::string(100000, ']') + "}",
  };
  for (const std::string& body : refused)
    EXPECT_EQ(parse_completion_request(body, {}).status().param().substr(0, 5), "body.")
        << body.substr(0, 100);
}

std::string list_of(const std::string& piece, int times) {
  std::string out = "[";
  for (int i = 0; i < times; ++i) out += (i > 0 ? "," : "") + piece;
  return out + "]";
}

// A call of a tool whose arguments are this JSON, which needs no escapes.
std::string call_with(const std::string& arguments) {
  return R"({"function":{"name":"f","arguments":")" + arguments + R"("}})";
}

// JSON within strings is bounded as that around it, all of a request together.
TEST(HugeBodies, ValuesInArgumentsCountForTheRequest) {
  const std::string half = call_with(list_of("0", 1'100'000));
  auto body_of = [](const std::string& calls, const std::string& more) {
    return R"({"messages":[{"role":"assistant","tool_calls":[)" + calls + "]}]" + more + "}";
  };
  EXPECT_TRUE(parse_chat_request(body_of(half, ""), {}).ok());
  const std::string place = "body.messages.0.tool_calls.";
  expect_error(parse_chat_request(body_of(half + "," + half, ""), {}).status(),
               place + "1.function.arguments", "two halves");
  expect_error(parse_tokenize_request(body_of(half + "," + half, ""), {}).status(),
               place + "1.function.arguments", "two halves, to be tokenized");
  expect_error(parse_chat_request(
                   body_of(half, R"(,"chat_template_kwargs":{"a":)" + list_of("0", 1'100'000) + "}"), {})
                   .status(),
               place + "0.function.arguments", "one in a string, one outside");
  expect_error(
      parse_chat_request(body_of(half + "," + call_with(list_of("0", 1'100'000) + ","), ""), {}).status(),
      place + "1.function.arguments", "what is no JSON is read no further either");
}

// Whatever holds the values, they are charged; where there is no room, that is said.
TEST(HugeBodies, AreChargedForTheirValues) {
  const std::string zeros = list_of("0", 100'000), ids = R"({"prompt":)" + zeros + "}";
  const std::string bodies[] = {
      chat_body(R"("chat_template_kwargs":{"a":)" + zeros + "}"), chat_body(R"("documents":)" + zeros),
      chat_body(R"("unknown":)" + zeros),
      R"({"messages":[{"role":"assistant","tool_calls":[)" + call_with(zeros) + "]}]}",
      R"({"messages":[{"role":"assistant","reasoning":)" + zeros + "}]}"};
  auto ask = [](std::size_t most, auto parse) {
    auto budget = std::make_shared<MemoryBudget>();
    budget->configure(most, nullptr);
    MemoryShare share(budget);
    const StatusCode code = parse(&share);
    return std::make_pair(code, budget->used());
  };
  constexpr std::size_t kTree = 100'000 * sizeof(Value);
  for (const std::string& body : bodies) {
    auto parse = [&](MemoryShare* memory) { return parse_chat_request(body, {}, memory).status().code(); };
    EXPECT_GE(ask(100 << 20, parse).second, kTree) << body.substr(0, 100);
    EXPECT_EQ(ask(1 << 20, parse).first, StatusCode::kTooLarge) << body.substr(0, 100);
  }
  EXPECT_EQ(ask(1 << 20, [&](MemoryShare* m) { return parse_completion_request(ids, {}, m).status().code(); })
                .first,
            StatusCode::kTooLarge);
  EXPECT_EQ(
      ask(1 << 20, [&](MemoryShare* m) { return parse_tokenize_request(bodies[0], {}, m).status().code(); })
          .first,
      StatusCode::kTooLarge);
  const std::string tokens = R"({"tokens":)" + zeros + "}";
  EXPECT_EQ(
      ask(1 << 20, [&](MemoryShare* m) { return parse_detokenize_request(tokens, m).status().code(); }).first,
      StatusCode::kTooLarge);
  EXPECT_GE(chat(bodies[0]).heap_bytes(), kTree);
  EXPECT_GE(text(ids).heap_bytes(), 100'000 * sizeof(TokenId));
  EXPECT_LT(text(ids).heap_bytes(), kTree) << "of ids no more than the ids is kept";
}

// Large bodies cost time in proportion to their length; a quadratic step would take minutes here.
TEST(HugeBodies, AreJudgedInLinearTime) {
  auto repeat = [](const std::string& piece, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += (i > 0 ? "," : "") + piece;
    return out;
  };
  std::string many_keys, twice;
  for (int i = 0; i < 200000; ++i) many_keys += ",\"k" + std::to_string(i) + "\":1";
  twice = many_keys + many_keys;
  std::string biases;
  for (int i = 0; i < 200000; ++i) biases += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":1";
  struct Huge {
    std::string body, param;
  } cases[] = {
      {text_body("\"stop\":[" + repeat("\"s\"", 1000000) + "]"), "body.stop"},
      {text_body("\"stop\":\"" + std::string(10 << 20, 's') + "\""), "body.stop"},
      {text_body("\"bad_words\":[" + repeat("\"s\"", 1000000) + "]"), "body.bad_words"},
      {text_body("\"n\":-1" + many_keys), ""},
      {text_body("\"n\":-1" + twice), ""},
      {"{\"prompt\":[" + repeat("\"p\"", 1000000) + "]}", "prompt"},
      {"{\"prompt\":[" + repeat("1", 1000000) + ",-1]}", "body.prompt.1000000"},
      {text_body("\"logit_bias\":{" + biases + "},\"n\":0"), ""},
  };
  auto start = std::chrono::steady_clock::now();
  for (const Huge& huge : cases)
    expect_error(parse_completion_request(huge.body, {}).status(), huge.param, huge.body);
  std::string messages = "{\"messages\":[" + repeat(R"({"role":"user","content":"x"})", 300000) + "]}";
  expect_error(parse_chat_request(messages, {}).status(), "body.messages", messages);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(CompletionRequest, PromptForms) {
  auto prompts = [](const std::string& prompt) {
    ParsedRequest request = text("{\"prompt\":" + prompt + "}");
    EXPECT_TRUE(request.generate.add_special_tokens);
    return std::get<std::vector<TextPrompt>>(request.generate.prompt);
  };
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(prompts(R"("a")"), (std::vector<TextPrompt>{"a"}));
  EXPECT_EQ(prompts(R"(["","a"])"), (std::vector<TextPrompt>{"", "a"}));
  EXPECT_EQ(prompts(R"(["a","b"])"), (std::vector<TextPrompt>{"a", "b"}));
  EXPECT_EQ(prompts(R"([1,2])"), (std::vector<TextPrompt>{Ids{1, 2}}));
  EXPECT_EQ(prompts(R"([true,"2"])"), (std::vector<TextPrompt>{Ids{1, 2}}));
  EXPECT_EQ(prompts(R"([[1],[2,3]])"), (std::vector<TextPrompt>{Ids{1}, Ids{2, 3}}));
}

TEST(CompletionRequest, ZeroTokensOnlyWithEcho) {
  ParsedRequest request =
      text(text_body(R"("max_tokens":0,"echo":true,"logprobs":-1,"best_of":1,"suffix":null)"));
  EXPECT_EQ(request.generate.sampling.max_tokens, 0);
  EXPECT_EQ(request.shape.num_logprobs, kAllLogprobs);
}

TEST(TokenizeRequest, TextAndChat) {
  auto request =
      parse_tokenize_request(R"({"prompt":"a","add_special_tokens":false,"return_token_strs":true})", {});
  ASSERT_TRUE(request.ok());
  EXPECT_TRUE(request->return_token_strs);
  EXPECT_FALSE(request->request.add_special_tokens);
  request = parse_tokenize_request(chat_body(R"("add_generation_prompt":false)"), {});
  ASSERT_TRUE(request.ok());
  EXPECT_FALSE(std::get<ChatPrompt>(request->request.prompt).add_generation_prompt);
  expect_error(parse_tokenize_request("{}", {}).status(), "body.prompt", "{}");
  expect_error(parse_detokenize_request("{}").status(), "body.tokens", "{}");
  expect_error(parse_detokenize_request(R"({"tokens":[1,"a"]})").status(), "body.tokens.1", "");
  expect_error(parse_detokenize_request(R"({"tokens":[1,-1]})").status(), "body.tokens.1", "");
  EXPECT_EQ(parse_detokenize_request(R"({"tokens":[1,2]})")->tokens, (std::vector<TokenId>{1, 2}));
}

}  // namespace
}  // namespace pagoda
