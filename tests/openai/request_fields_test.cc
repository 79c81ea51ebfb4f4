// Every field of the API with values that are taken, and each with every kind of value.
#include <gtest/gtest.h>

#include "tests/openai/bodies.h"

namespace pagoda {
namespace {

using testing::chat;
using testing::chat_body;
using testing::text;
using testing::text_body;

// Taken as vLLM 0.32 takes them: lax types, and nothing asked of what is not there.
const char* const kGoodCommon[] = {
    R"("temperature":" 0.5 ")",
    R"("temperature":true)",
    R"("top_p":"1e-1")",
    R"("top_k":"3")",
    R"("top_k":"3.0")",
    R"("top_k":18446744073709551616)",
    R"("min_p":false)",
    R"("n":"1")",
    R"("n":1.0)",
    R"("n":true)",
    R"("seed":"-7")",
    R"("seed":7.0)",
    R"("seed":true)",
    R"("min_tokens":"1")",
    R"("stream":"false")",
    R"("stream":0.0)",
    R"("stream":"OFF")",
    R"("ignore_eos":"yes")",
    R"("ignore_eos":1)",
    R"("echo":"no")",
    R"("stop":null)",
    R"("stop":[])",
    R"("stop_token_ids":[1,"2",true])",
    R"("logit_bias":{"1":"2"," 7 ":true})",
    R"("allowed_token_ids":["5"])",
    R"("truncate_prompt_tokens":"1")",
    R"("prompt_logprobs":true)",
    R"("prompt_logprobs":2.0)",
    R"("prompt_logprobs":0,"stream":true)",
    R"("stream_options":{})",
    R"("stream_options":null)",
    R"("stream":true,"stream_options":{"foo":1})",
    R"("response_format":{"type":"text"})",
    R"("structured_outputs":null)",
    R"("use_beam_search":0)",
    R"("length_penalty":"1")",
    R"("watermarking":true)",
    R"("priority":"0")",
    R"("cache_salt":null)",
    R"("session_id":"s")",
    R"("return_token_offsets":true)",
    R"("mm_payload":"none")",
    R"("return_mm_kwargs":true)",
    R"("routed_experts_prompt_start":1)",
    R"("kv_transfer_params":{})",
    R"("kv_transfer_params":{"do_remote_prefill":false,"prompt_token_ids":null})",
    R"("ec_transfer_params":{})",
    R"("vllm_xargs":{"a":[1,"b"],"c":true})",
    R"("repetition_detection":{})",
    R"("repetition_detection":{"max_pattern_size":0,"min_count":5})",
    R"("thinking_token_budget":-1)",
    R"("logprob_token_ids":[])",
    R"("logits_processors":[])",
    R"("guided_choice":[])",
    R"("guided_regex":"")",
    R"("guided_grammar":"")",
    R"("guided_json":"")",
    R"("guided_decoding_backend":"x")",
    R"("guided_whitespace_pattern":" ")",
    R"("best_of":"1")",
    R"("best_of":"1.0")",
    R"("best_of":true)",
    R"("n":2,"best_of":2.0)",
    R"("logit_bias":{" 260 ":1,"+261":1})",
    R"("stream_interval":"2")",
    R"("best_of":1)",
    R"("guided_json":null)",
    R"("service_tier":1)",
    R"("metadata":1)",
    R"("store":"x")",
    R"("safety_identifier":5)",
    R"("unheard_of":{})",
};
const char* const kGoodChat[] = {
    R"("n":null)",
    R"("logprobs":"yes")",
    R"("top_logprobs":null)",
    R"("max_completion_tokens":"2")",
    R"("tool_choice":"none")",
    R"("tool_choice":null)",
    R"("functions":[])",
    R"("function_call":"auto")",
    R"("tools":[{"function":{"name":"f"}}],"tool_choice":null)",
    R"("audio":{})",
    R"("modalities":"text")",
    R"("chat_template_kwargs":{"add_generation_prompt":false,"continue_final_message":true,"tokenize":true})",
    R"("chat_template_kwargs":{"chat_template":null,"tools":[],"documents":[]})",
    R"("mm_processor_kwargs":{})",
    R"("media_io_kwargs":{})",
    R"("return_prompt_text":false)",
    R"("prediction":{})",
};
const char* const kGoodText[] = {
    R"("max_tokens":"3")", R"("max_tokens":"1_0")", R"("max_tokens":null)",  R"("logprobs":true)",
    R"("logprobs":false)", R"("suffix":null)",      R"("prompt_embeds":[])", R"("echo":null)",
};

TEST(GoodFields, AreTaken) {
  for (const char* field : kGoodCommon) {
    EXPECT_TRUE(parse_chat_request(chat_body(field), {}).ok())
        << field << parse_chat_request(chat_body(field), {}).status().message();
    EXPECT_TRUE(parse_completion_request(text_body(field), {}).ok())
        << field << parse_completion_request(text_body(field), {}).status().message();
  }
  for (const char* field : kGoodChat)
    EXPECT_TRUE(parse_chat_request(chat_body(field), {}).ok())
        << field << parse_chat_request(chat_body(field), {}).status().message();
  for (const char* field : kGoodText)
    EXPECT_TRUE(parse_completion_request(text_body(field), {}).ok())
        << field << parse_completion_request(text_body(field), {}).status().message();
}

// Whatever stands where: an answer or an error that names something, and nothing else.
TEST(Fields, TakeEveryKindOfValueWithoutHarm) {
  const char* const names[] = {"messages",
                               "prompt",
                               "model",
                               "temperature",
                               "top_p",
                               "top_k",
                               "n",
                               "seed",
                               "stop",
                               "stream",
                               "stream_options",
                               "logit_bias",
                               "logprobs",
                               "top_logprobs",
                               "max_tokens",
                               "max_completion_tokens",
                               "min_tokens",
                               "tools",
                               "tool_choice",
                               "functions",
                               "function_call",
                               "response_format",
                               "structured_outputs",
                               "stop_token_ids",
                               "allowed_token_ids",
                               "bad_words",
                               "truncate_prompt_tokens",
                               "prompt_logprobs",
                               "logprob_token_ids",
                               "echo",
                               "documents",
                               "chat_template",
                               "chat_template_kwargs",
                               "media_io_kwargs",
                               "mm_processor_kwargs",
                               "modalities",
                               "audio",
                               "web_search_options",
                               "cache_salt",
                               "kv_transfer_params",
                               "ec_transfer_params",
                               "vllm_xargs",
                               "repetition_detection",
                               "thinking_token_budget",
                               "suffix",
                               "prompt_embeds",
                               "best_of",
                               "reasoning_effort",
                               "priority",
                               "timeout",
                               "user",
                               "request_id",
                               "session_id",
                               "guided_json",
                               "logits_processors",
                               "tokens",
                               "request_ids",
                               "add_generation_prompt",
                               "continue_final_message",
                               "return_prompt_text",
                               "mm_payload"};
  const std::string kinds[] = {"null",
                               "true",
                               "false",
                               "0",
                               "-1",
                               "1.5",
                               "1e300",
                               "\"\"",
                               "\"x\"",
                               "\"5\"",
                               "[]",
                               "[null]",
                               "[1]",
                               "[-1]",
                               "[\"a\"]",
                               "[[]]",
                               "[[1],2]",
                               "[{}]",
                               "{}",
                               R"({"type":1})",
                               R"({"type":"json_schema"})",
                               R"({"function":1})",
                               R"({"function":{"name":1}})",
                               R"([{"function":1}])",
                               R"([{"function":{"name":[]}}])",
                               R"({"a":null})",
                               R"({"tools":1,"chat_template":1,"messages":1})",
                               R"([{"role":1,"content":{}}])"};
  for (const char* name : names)
    for (const std::string& kind : kinds) {
      const std::string field = "\"" + std::string(name) + "\":" + kind;
      for (const std::string& body : {chat_body(field), text_body(field), "{" + field + "}"}) {
        (void)parse_chat_request(body, {});
        (void)parse_completion_request(body, {});
        (void)parse_tokenize_request(body, {});
        (void)parse_detokenize_request(body);
        (void)parse_abort_request(body);
      }
      const std::string tools = R"("tools":[{"function":{"name":"f"}}],)" + field;
      (void)parse_chat_request(chat_body(tools), {});
    }
}

TEST(GoodFields, LaxValues) {
  ParsedRequest request = text(text_body(
      R"("temperature":"0.5","max_tokens":"3.0","seed":"7","stream":"Yes","logprobs":true,"top_k":"1_0","n":2.0)"));
  EXPECT_EQ(request.generate.sampling.temperature, 0.5);
  EXPECT_EQ(request.generate.sampling.max_tokens, 3);
  EXPECT_EQ(request.generate.sampling.seed, 7);
  EXPECT_TRUE(request.shape.stream);
  EXPECT_EQ(request.shape.num_logprobs, 1);
  EXPECT_EQ(request.generate.sampling.top_k, 10);
  EXPECT_EQ(request.shape.n, 2);
  request = text(text_body(R"("logprobs":false,"seed":-1,"stream":"off")"));
  EXPECT_EQ(request.shape.num_logprobs, 0);
  EXPECT_FALSE(request.generate.sampling.seed) << "any";
  EXPECT_FALSE(request.shape.stream);
}

TEST(StreamOptions, NoUsageUnlessAskedFor) {
  struct {
    const char* options;
    bool usage, continuous;
  } const cases[] = {
      {"{}", false, false},
      {R"({"include_usage":null})", false, false},
      {R"({"include_usage":false})", false, false},
      {R"({"continuous_usage_stats":true})", false, false},
      {R"({"include_obfuscation":false})", false, false},
      {R"({"include_usage":true})", true, false},
      {R"({"include_usage":1,"continuous_usage_stats":"on"})", true, true},
  };
  for (const auto& one : cases) {
    ParsedRequest request = chat(chat_body(std::string(R"("stream":true,"stream_options":)") + one.options));
    EXPECT_EQ(request.shape.include_usage, one.usage) << one.options;
    EXPECT_EQ(request.shape.continuous_usage, one.continuous) << one.options;
  }
}

TEST(Echo, WantsLogProbabilitiesOfThePrompt) {
  struct Case {
    bool chat;
    const char* fields;
    std::optional<int64_t> prompt_logprobs;
  } cases[] = {
      {false, R"("echo":true)", {}},
      {false, R"("echo":true,"logprobs":2)", 2},
      {false, R"("echo":true,"logprobs":2,"stream":true)", 2},  // shown as the first tokens' own
      {false, R"("echo":true,"logprobs":2,"prompt_logprobs":1)", 1},
      {false, R"("logprobs":2)", {}},
      {true, R"("echo":true)", 0},
      {true, R"("echo":true,"logprobs":true,"top_logprobs":2)", 2},
      {true, R"("echo":true,"logprobs":true,"top_logprobs":2,"prompt_logprobs":1)", 1},
      {true, R"("echo":true,"top_logprobs":null)", {}},
      {true, R"("echo":true,"stream":true)", {}},
      {true, R"("logprobs":true,"top_logprobs":2)", {}},
  };
  for (const Case& c : cases) {
    const ParsedRequest request = c.chat ? chat(chat_body(c.fields)) : text(text_body(c.fields));
    EXPECT_EQ(request.shape.num_prompt_logprobs, c.prompt_logprobs) << c.chat << c.fields;
  }
}

TEST(TokensAsIds, TheRequestHasTheLastWord) {
  RequestLimits limits;
  limits.return_tokens_as_token_ids = true;
  auto asks = [&](const char* field) {
    return parse_completion_request(text_body(field), limits)->shape.return_tokens_as_token_ids;
  };
  EXPECT_TRUE(asks(R"("n":1)"));
  EXPECT_TRUE(asks(R"("return_tokens_as_token_ids":null)"));
  EXPECT_FALSE(asks(R"("return_tokens_as_token_ids":false)"));
}

}  // namespace
}  // namespace pagoda
