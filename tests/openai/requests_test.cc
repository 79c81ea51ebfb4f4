#include "openai/requests.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/json.h"

namespace pagoda {
namespace {

constexpr char kChatBase[] = R"("messages":[{"role":"user","content":"hi"}])";
constexpr char kTextBase[] = R"("prompt":"hi")";

std::string chat_body(const std::string& field) {
  return "{" + std::string(kChatBase) + "," + field + "}";
}
std::string text_body(const std::string& field) {
  return "{" + std::string(kTextBase) + "," + field + "}";
}

GenerateRequest chat(const std::string& body) {
  Result<GenerateRequest> request = parse_chat_request(body, {});
  EXPECT_TRUE(request.ok()) << request.status().message() << " for " << body;
  return request.ok() ? std::move(*request) : GenerateRequest();
}
GenerateRequest text(const std::string& body) {
  Result<GenerateRequest> request = parse_completion_request(body, {});
  EXPECT_TRUE(request.ok()) << request.status().message() << " for " << body;
  return request.ok() ? std::move(*request) : GenerateRequest();
}

void expect_error(const Status& status, const std::string& param, const std::string& body) {
  std::string shown = body.substr(0, 200);
  ASSERT_FALSE(status.ok()) << "accepted: " << shown;
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << shown;
  EXPECT_EQ(status.param(), param) << shown << " -> " << status.message();
  EXPECT_LT(status.message().size(), 500u) << shown;
}

TEST(ChatRequest, DefaultsAreTheApis) {
  GenerateRequest request = chat(chat_body(R"("model":"m")"));
  EXPECT_EQ(request.model, "m");
  EXPECT_TRUE(request.is_chat());
  EXPECT_EQ(request.n, 1);
  EXPECT_FALSE(request.sampling.temperature || request.sampling.top_p || request.sampling.top_k ||
               request.sampling.max_tokens || request.sampling.seed);
  EXPECT_FALSE(request.stream || request.include_usage || request.echo || request.add_special_tokens);
  EXPECT_TRUE(request.skip_special_tokens);
  EXPECT_EQ(request.num_logprobs, -1);
  EXPECT_EQ(request.num_prompt_logprobs, -1);
  const auto& prompt = std::get<ChatPrompt>(request.prompt);
  EXPECT_TRUE(prompt.add_generation_prompt);
  EXPECT_TRUE(prompt.tools.is_null());
}

TEST(ChatRequest, ReadsEveryField) {
  GenerateRequest request = chat(chat_body(R"(
    "temperature":0.5,"top_p":0.9,"top_k":5,"min_p":0.1,"repetition_penalty":1.1,"frequency_penalty":-2,
    "presence_penalty":2,"logit_bias":{"7":1.5,"3":-200,"07":2},"seed":-9223372036854775808,"n":3,"stop":["a","b"],
    "stop_token_ids":[9,4,9],"include_stop_str_in_output":true,"ignore_eos":true,"min_tokens":2,
    "skip_special_tokens":false,"spaces_between_special_tokens":false,"allowed_token_ids":[2,1],"bad_words":["x"],
    "truncate_prompt_tokens":-1,"stream":true,"stream_options":{"continuous_usage_stats":true},"cache_salt":"s",
    "request_id":"r","return_token_ids":true,"return_tokens_as_token_ids":true,"max_tokens":4,
    "max_completion_tokens":16.0,"logprobs":true,"top_logprobs":5,"echo":true,"user":"u","priority":0,
    "reasoning_effort":"low","chat_template":"{{1}}","chat_template_kwargs":{"enable_thinking":false},
    "documents":[{"text":"d"}],"response_format":{"type":"text"},"modalities":["text"],"unheard_of":{"a":1},
    "logprob_token_ids":null,"tool_choice":"none")"));
  const SamplingFields& s = request.sampling;
  EXPECT_EQ(s.temperature, 0.5);
  EXPECT_EQ(s.top_k, 5);
  EXPECT_EQ(s.frequency_penalty, -2);
  EXPECT_EQ(s.logit_bias, (std::vector<std::pair<TokenId, float>>{{3, -100.0f}, {7, 2.0f}}));
  EXPECT_EQ(s.seed, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(s.stop_token_ids, (std::vector<TokenId>{4, 9}));
  EXPECT_EQ(s.max_tokens, 16);
  EXPECT_EQ(s.min_tokens, 2);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.num_logprobs, 5);
  EXPECT_EQ(request.truncate_prompt_tokens, -1);
  EXPECT_TRUE(request.include_usage && request.continuous_usage && request.return_tokens_as_token_ids);
  const auto& prompt = std::get<ChatPrompt>(request.prompt);
  EXPECT_EQ(prompt.template_kwargs.find("reasoning_effort")->as_string(), "low");
  EXPECT_EQ(prompt.template_kwargs.find("documents")->as_array().size(), 1u);
  EXPECT_EQ(prompt.chat_template, "{{1}}");
}

TEST(ChatRequest, NullIsAbsent) {
  GenerateRequest request =
      chat(chat_body(R"("temperature":null,"n":null,"stop":null,"tools":null,"tool_choice":null,
      "response_format":null,"stream":null,"stream_options":null,"logprobs":null,"seed":null,"logit_bias":null)"));
  EXPECT_EQ(request.n, 1);
  EXPECT_TRUE(request.stop.empty());
}

TEST(ChatRequest, MessagesAreNormalized) {
  GenerateRequest request = chat(R"({"messages":[
    {"role":"system","content":"s","x":1},
    {"role":"user","content":["a",{"type":"text","text":"b"},{"type":"input_text","text":"c"}],"name":"joe"},
    {"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"k\":[1]}"}},
                                      {"function":{"name":"g"}}],"reasoning":"r"},
    {"role":"tool","tool_call_id":"1","content":"42"}]})");
  Array messages = std::get<ChatPrompt>(request.prompt).messages;
  EXPECT_EQ(write_json(Value(messages)),
            R"([{"role":"system","content":"s"},)"
            R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"},)"
            R"({"type":"text","text":"c"}],"name":"joe"},)"
            R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":)"
            R"({"name":"f","arguments":{"k":[1]}}},{"function":{"name":"g","arguments":{}}}],)"
            R"("reasoning":"r","reasoning_content":"r"},)"
            R"({"role":"tool","content":"42","tool_call_id":"1"}])");
}

TEST(ChatRequest, ToolsReachTheTemplate) {
  std::string tools = R"("tools":[{"type":"function","function":{"name":"f","parameters":{}}}])";
  for (const char* choice :
       {"", R"(,"tool_choice":"auto")", R"(,"tool_choice":"none","parallel_tool_calls":false)"}) {
    GenerateRequest request = chat(chat_body(tools + choice));
    EXPECT_EQ(std::get<ChatPrompt>(request.prompt).tools.as_array().size(), 1u) << choice;
  }
  RequestLimits limits;
  limits.exclude_tools_when_tool_choice_none = true;
  auto request = parse_chat_request(chat_body(tools + R"(,"tool_choice":"none")"), limits);
  EXPECT_TRUE(std::get<ChatPrompt>(request->prompt).tools.is_null());
}

TEST(ChatRequest, ContinuesTheFinalMessage) {
  GenerateRequest request = chat(chat_body(R"("continue_final_message":true,"add_generation_prompt":false)"));
  EXPECT_TRUE(std::get<ChatPrompt>(request.prompt).continue_final_message);
}

struct BadCase {
  const char* field;
  const char* param;
};

// Fields that both kinds of request have.
const BadCase kBadCommon[] = {
    {R"("model":1)", "model"},
    {R"("model":["m"])", "model"},
    {R"("temperature":-0.1)", "temperature"},
    {R"("temperature":2.1)", "temperature"},
    {R"("temperature":1180591620717411303424)", "temperature"},
    {R"("temperature":"1")", "temperature"},
    {R"("temperature":true)", "temperature"},
    {R"("top_p":0)", "top_p"},
    {R"("top_p":1.01)", "top_p"},
    {R"("top_p":[])", "top_p"},
    {R"("top_k":-2)", "top_k"},
    {R"("top_k":1.5)", "top_k"},
    {R"("top_k":18446744073709551616)", "top_k"},
    {R"("top_k":"5")", "top_k"},
    {R"("min_p":-0.1)", "min_p"},
    {R"("min_p":1.1)", "min_p"},
    {R"("min_p":false)", "min_p"},
    {R"("repetition_penalty":0)", "repetition_penalty"},
    {R"("repetition_penalty":{})", "repetition_penalty"},
    {R"("frequency_penalty":2.1)", "frequency_penalty"},
    {R"("frequency_penalty":"0")", "frequency_penalty"},
    {R"("presence_penalty":-2.1)", "presence_penalty"},
    {R"("presence_penalty":true)", "presence_penalty"},
    {R"("logit_bias":[])", "logit_bias"},
    {R"("logit_bias":{"a":1})", "logit_bias"},
    {R"("logit_bias":{"-1":1})", "logit_bias"},
    {R"("logit_bias":{"1.5":1})", "logit_bias"},
    {R"("logit_bias":{"99999999999":1})", "logit_bias"},
    {R"("logit_bias":{"5":"1"})", "logit_bias.5"},
    {R"("seed":1.5)", "seed"},
    {R"("seed":18446744073709551616)", "seed"},
    {R"("seed":"1")", "seed"},
    {R"("n":0)", "n"},
    {R"("n":-1)", "n"},
    {R"("n":16385)", "n"},
    {R"("n":true)", "n"},
    {R"("n":"2")", "n"},
    {R"("n":18446744073709551616)", "n"},
    {R"("n":1.5)", "n"},
    {R"("stop":1)", "stop"},
    {R"("stop":"")", "stop"},
    {R"("stop":["a",""])", "stop"},
    {R"("stop":["a",2])", "stop.1"},
    {R"("stop":{})", "stop"},
    {R"("stop_token_ids":5)", "stop_token_ids"},
    {R"("stop_token_ids":[1,"2"])", "stop_token_ids.1"},
    {R"("stop_token_ids":[-1])", "stop_token_ids.0"},
    {R"("stop_token_ids":[4294967296])", "stop_token_ids.0"},
    {R"("include_stop_str_in_output":1)", "include_stop_str_in_output"},
    {R"("ignore_eos":"yes")", "ignore_eos"},
    {R"("min_tokens":-1)", "min_tokens"},
    {R"("min_tokens":0.5)", "min_tokens"},
    {R"("skip_special_tokens":0)", "skip_special_tokens"},
    {R"("spaces_between_special_tokens":"")", "spaces_between_special_tokens"},
    {R"("add_special_tokens":1)", "add_special_tokens"},
    {R"("allowed_token_ids":[])", "allowed_token_ids"},
    {R"("allowed_token_ids":[1.5])", "allowed_token_ids.0"},
    {R"("allowed_token_ids":"1")", "allowed_token_ids"},
    {R"("bad_words":"x")", "bad_words"},
    {R"("bad_words":[""])", "bad_words"},
    {R"("bad_words":[1])", "bad_words.0"},
    {R"("truncate_prompt_tokens":-2)", "truncate_prompt_tokens"},
    {R"("truncate_prompt_tokens":0)", "truncate_prompt_tokens"},
    {R"("truncate_prompt_tokens":"1")", "truncate_prompt_tokens"},
    {R"("prompt_logprobs":-2)", "prompt_logprobs"},
    {R"("prompt_logprobs":true)", "prompt_logprobs"},
    {R"("prompt_logprobs":1,"stream":true)", "prompt_logprobs"},
    {R"("stream":"true")", "stream"},
    {R"("stream":1)", "stream"},
    {R"("stream_options":{"include_usage":true})", "stream_options"},
    {R"("stream":true,"stream_options":1)", "stream_options"},
    {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options.include_usage"},
    {R"("response_format":"json")", "response_format"},
    {R"("response_format":{})", "response_format"},
    {R"("response_format":{"type":"json_object"})", "response_format.type"},
    {R"("response_format":{"type":"json_schema","json_schema":{}})", "response_format.type"},
    {R"("structured_outputs":{"regex":"a"})", "structured_outputs"},
    {R"("guided_json":{})", "guided_json"},
    {R"("use_beam_search":true)", "use_beam_search"},
    {R"("length_penalty":"a")", "length_penalty"},
    {R"("logits_processors":[])", "logits_processors"},
    {R"("prompt_embeds":"x")", "prompt_embeds"},
    {R"("repetition_detection":{})", "repetition_detection"},
    {R"("thinking_token_budget":5)", "thinking_token_budget"},
    {R"("logprob_token_ids":[1])", "logprob_token_ids"},
    {R"("kv_transfer_params":{})", "kv_transfer_params"},
    {R"("priority":1)", "priority"},
    {R"("priority":"high")", "priority"},
    {R"("cache_salt":"")", "cache_salt"},
    {R"("cache_salt":1)", "cache_salt"},
    {R"("request_id":7)", "request_id"},
    {R"("return_token_ids":1)", "return_token_ids"},
    {R"("return_tokens_as_token_ids":"x")", "return_tokens_as_token_ids"},
    {R"("user":1)", "user"},
    {R"("echo":1)", "echo"},
    {R"("stream_interval":0)", "stream_interval"},
    {R"("timeout":0)", "timeout"},
    {R"("timeout":-1)", "timeout"},
    {R"("timeout":"5")", "timeout"},
    {R"("timeout":true)", "timeout"},
    {R"("vllm_xargs":[])", "vllm_xargs"},
    {R"("best_of":2)", "best_of"},
};

const BadCase kBadChat[] = {
    {R"("max_tokens":0)", "max_tokens"},
    {R"("max_tokens":"1")", "max_tokens"},
    {R"("max_completion_tokens":1.5)", "max_completion_tokens"},
    {R"("max_completion_tokens":-1)", "max_completion_tokens"},
    {R"("logprobs":5)", "logprobs"},
    {R"("top_logprobs":5)", "top_logprobs"},
    {R"("logprobs":true,"top_logprobs":-2)", "top_logprobs"},
    {R"("logprobs":true,"top_logprobs":true)", "top_logprobs"},
    {R"("tools":{})", "tools"},
    {R"("tools":[1])", "tools.0"},
    {R"("tools":[{"type":"web"}])", "tools.0.type"},
    {R"("tools":[{"type":"function"}])", "tools.0.function"},
    {R"("tools":[{"type":"function","function":{}}])", "tools.0.function.name"},
    {R"("tools":[{"type":"function","function":{"name":1}}])", "tools.0.function.name"},
    {R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])",
     "tools.0.function.parameters"},
    {R"("tool_choice":"auto")", "tool_choice"},
    {R"("tool_choice":"sometimes")", "tool_choice"},
    {R"("tool_choice":1)", "tool_choice"},
    {R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required")", "tool_choice"},
    {R"("tools":[{"type":"function","function":{"name":"f"}}],
        "tool_choice":{"type":"function","function":{"name":"f"}})",
     "tool_choice"},
    {R"("parallel_tool_calls":1)", "parallel_tool_calls"},
    {R"("functions":[])", "functions"},
    {R"("function_call":"auto")", "function_call"},
    {R"("chat_template":1)", "chat_template"},
    {R"("chat_template_kwargs":[])", "chat_template_kwargs"},
    {R"("chat_template_kwargs":{"messages":[]})", "chat_template_kwargs"},
    {R"("documents":{})", "documents"},
    {R"("documents":["d"])", "documents.0"},
    {R"("add_generation_prompt":1)", "add_generation_prompt"},
    {R"("continue_final_message":1)", "continue_final_message"},
    {R"("continue_final_message":true)", "continue_final_message"},
    {R"("continue_final_message":true,"add_generation_prompt":true)", "continue_final_message"},
    {R"("reasoning_effort":1)", "reasoning_effort"},
    {R"("include_reasoning":1)", "include_reasoning"},
    {R"("modalities":["text","audio"])", "modalities"},
    {R"("modalities":"text")", "modalities"},
    {R"("audio":{})", "audio"},
    {R"("web_search_options":{})", "web_search_options"},
    {R"("mm_processor_kwargs":1)", "mm_processor_kwargs"},
};

const BadCase kBadText[] = {
    {R"("max_tokens":0)", "max_tokens"},  {R"("max_tokens":-1,"echo":true)", "max_tokens"},
    {R"("max_tokens":[])", "max_tokens"}, {R"("logprobs":-2)", "logprobs"},
    {R"("logprobs":true)", "logprobs"},   {R"("logprobs":1.5)", "logprobs"},
    {R"("suffix":"s")", "suffix"},        {R"("suffix":1)", "suffix"},
    {R"("best_of":true)", "best_of"},
};

TEST(Service, FieldsThatSayWhenAndForWhom) {
  RequestLimits limits;
  limits.accept_priority = true;
  GenerateRequest request = *parse_chat_request(
      chat_body(R"("timeout":2.5,"user":"ann","priority":-3,"stream_interval":4)"), limits);
  EXPECT_EQ(request.timeout_s, 2.5);
  EXPECT_EQ(request.user, "ann");
  EXPECT_EQ(request.priority, -3);
  EXPECT_EQ(request.stream_interval, 4);
  request = *parse_chat_request(chat_body(R"("timeout":null,"priority":0)"), {});
  EXPECT_EQ(request.timeout_s, 0);
  EXPECT_EQ(request.priority, 0);
}

TEST(AbortRequest, Ids) {
  EXPECT_EQ(*parse_abort_request(R"({"request_ids":["a","b"]})"), (std::vector<std::string>{"a", "b"}));
  expect_error(parse_abort_request("{}").status(), "request_ids", "absent");
  expect_error(parse_abort_request(R"({"request_ids":"a"})").status(), "request_ids", "no list");
  expect_error(parse_abort_request(R"({"request_ids":[1]})").status(), "request_ids.0", "no string");
}

TEST(BadFields, AreNamed) {
  for (const BadCase& bad : kBadCommon) {
    expect_error(parse_chat_request(chat_body(bad.field), {}).status(), bad.param, bad.field);
    expect_error(parse_completion_request(text_body(bad.field), {}).status(), bad.param, bad.field);
  }
  for (const BadCase& bad : kBadChat)
    expect_error(parse_chat_request(chat_body(bad.field), {}).status(), bad.param, bad.field);
  for (const BadCase& bad : kBadText)
    expect_error(parse_completion_request(text_body(bad.field), {}).status(), bad.param, bad.field);
}

TEST(BadFields, Messages) {
  const BadCase cases[] = {
      {R"({})", "messages"},
      {R"({"messages":null})", "messages"},
      {R"({"messages":"hi"})", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":[1]})", "messages.0"},
      {R"({"messages":[{}]})", "messages.0.role"},
      {R"({"messages":[{"role":1,"content":"x"}]})", "messages.0.role"},
      {R"({"messages":[{"role":"robot","content":"x"}]})", "messages.0.role"},
      {R"({"messages":[{"role":"user"}]})", "messages.0.content"},
      {R"({"messages":[{"role":"user","content":null}]})", "messages.0.content"},
      {R"({"messages":[{"role":"user","content":5}]})", "messages.0.content"},
      {R"({"messages":[{"role":"user","content":{"type":"text"}}]})", "messages.0.content"},
      {R"({"messages":[{"role":"user","content":[5]}]})", "messages.0.content.0"},
      {R"({"messages":[{"role":"user","content":[{"text":"a"}]}]})", "messages.0.content.0.type"},
      {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages.0.content.0.text"},
      {R"({"messages":[{"role":"user","content":[{"type":"text","text":1}]}]})", "messages.0.content.0.text"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})",
       "messages.0.content.0"},
      {R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":"b","name":1}]})",
       "messages.1.name"},
      {R"({"messages":[{"role":"assistant","tool_calls":{}}]})", "messages.0.tool_calls"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{}]}]})", "messages.0.tool_calls.0.function"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{"}}]}]})",
       "messages.0.tool_calls.0.function.arguments"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":3}}]}]})",
       "messages.0.tool_calls.0.function.arguments"},
      {R"({"messages":[{"role":"tool","content":"x","tool_call_id":1}]})", "messages.0.tool_call_id"},
  };
  for (const BadCase& bad : cases)
    expect_error(parse_chat_request(bad.field, {}).status(), bad.param, bad.field);
}

TEST(BadFields, Prompts) {
  const BadCase cases[] = {
      {R"({})", "prompt"},
      {R"({"prompt":null})", "prompt"},
      {R"({"prompt":5})", "prompt"},
      {R"({"prompt":{}})", "prompt"},
      {R"({"prompt":[]})", "prompt"},
      {R"({"prompt":[[]]})", "prompt.0"},
      {R"({"prompt":["a",1]})", "prompt.1"},
      {R"({"prompt":[1,"a"]})", "prompt.1"},
      {R"({"prompt":[[1],"a"]})", "prompt.1"},
      {R"({"prompt":[[1],[2,-1]]})", "prompt.1.1"},
      {R"({"prompt":[1,1.5]})", "prompt.1"},
      {R"({"prompt":[true]})", "prompt.0"},
      {R"({"prompt":[18446744073709551616]})", "prompt.0"},
  };
  for (const BadCase& bad : cases)
    expect_error(parse_completion_request(bad.field, {}).status(), bad.param, bad.field);
}

TEST(BadBodies, AreErrorsOfTheBody) {
  const std::string cases[] = {
      "",
      "  ",
      "[]",
      "\"x\"",
      "{",
      R"({"prompt":"a","n":1)",
      R"({"prompt":"a"}{})",
      R"({"prompt":"a","temperature":NaN})",
      R"({"prompt":"a","temperature":1e400})",
      R"({"prompt":"a","temperature":Infinity})",
      R"({"prompt":"\ud800"})",
      R"({"prompt":"\udc00\ud800"})",
      "{\"prompt\":\"\xff\"}",
      "{\"prompt\":\"\xed\xa0\x80\"}",
      "{\"prompt\":" + std::string(100000, '[') + std::string(100000, ']') + "}",
  };
  for (const std::string& body : cases) {
    expect_error(parse_completion_request(body, {}).status(), "body", body);
    expect_error(parse_chat_request(body, {}).status(), "body", body);
    expect_error(parse_tokenize_request(body, {}).status(), "body", body);
    expect_error(parse_detokenize_request(body).status(), "body", body);
  }
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
      {text_body("\"stop\":[" + repeat("\"s\"", 1000000) + "]"), "stop"},
      {text_body("\"stop\":\"" + std::string(10 << 20, 's') + "\""), "stop"},
      {text_body("\"bad_words\":[" + repeat("\"s\"", 1000000) + "]"), "bad_words"},
      {text_body("\"n\":-1" + many_keys), "n"},
      {text_body("\"n\":-1" + twice), "n"},
      {"{\"prompt\":[" + repeat("\"p\"", 1000000) + "]}", "prompt"},
      {"{\"prompt\":[" + repeat("1", 1000000) + ",-1]}", "prompt.1000000"},
      {text_body("\"logit_bias\":{" + biases + "},\"n\":0"), "n"},
  };
  auto start = std::chrono::steady_clock::now();
  for (const Huge& huge : cases)
    expect_error(parse_completion_request(huge.body, {}).status(), huge.param, huge.body);
  std::string messages = "{\"messages\":[" + repeat(R"({"role":"user","content":"x"})", 300000) + "]}";
  expect_error(parse_chat_request(messages, {}).status(), "messages", messages);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(CompletionRequest, PromptForms) {
  auto prompts = [](const std::string& prompt) {
    GenerateRequest request = text("{\"prompt\":" + prompt + "}");
    EXPECT_TRUE(request.add_special_tokens);
    return std::get<std::vector<TextPrompt>>(request.prompt);
  };
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(prompts(R"("a")"), (std::vector<TextPrompt>{"a"}));
  EXPECT_EQ(prompts(R"("")"), (std::vector<TextPrompt>{""}));
  EXPECT_EQ(prompts(R"(["a","b"])"), (std::vector<TextPrompt>{"a", "b"}));
  EXPECT_EQ(prompts(R"([1,2])"), (std::vector<TextPrompt>{Ids{1, 2}}));
  EXPECT_EQ(prompts(R"([[1],[2,3]])"), (std::vector<TextPrompt>{Ids{1}, Ids{2, 3}}));
}

TEST(CompletionRequest, ZeroTokensOnlyWithEcho) {
  GenerateRequest request =
      text(text_body(R"("max_tokens":0,"echo":true,"logprobs":-1,"best_of":1,"suffix":null)"));
  EXPECT_EQ(request.sampling.max_tokens, 0);
  EXPECT_EQ(request.num_logprobs, kAllLogprobs);
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
  expect_error(parse_tokenize_request("{}", {}).status(), "prompt", "{}");
  expect_error(parse_detokenize_request("{}").status(), "tokens", "{}");
  expect_error(parse_detokenize_request(R"({"tokens":[1,"a"]})").status(), "tokens.1", "");
  EXPECT_EQ(parse_detokenize_request(R"({"tokens":[1,2]})")->tokens, (std::vector<TokenId>{1, 2}));
}

}  // namespace
}  // namespace pagoda
