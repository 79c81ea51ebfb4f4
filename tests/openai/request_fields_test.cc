// Every field of the API: what is taken, and what the errors of the others name.
#include <gtest/gtest.h>

#include "tests/openai/bodies.h"

namespace pagoda {
namespace {

using testing::BadCase;
using testing::chat;
using testing::chat_body;
using testing::expect_error;
using testing::text;
using testing::text_body;

// Fields that both kinds of request have. "body.x": it does not fit the schema; "x" or nothing: a value that
// is refused, with the name vLLM gives. All as vLLM 0.32 answered, but for what it has and we do not.
const BadCase kBadCommon[] = {
    {R"("model":1)", "body.model"},
    {R"("model":["m"])", "body.model"},
    {R"("model":true)", "body.model"},
    {R"("temperature":-0.1)", "temperature"},
    {R"("temperature":2.1)", "temperature"},
    {R"("temperature":1180591620717411303424)", "temperature"},
    {R"("temperature":"3")", "temperature"},
    {R"("temperature":"nan")", "temperature"},
    {R"("temperature":"inf")", "temperature"},
    {R"("temperature":"-Infinity")", "temperature"},
    {R"("temperature":"abc")", "body.temperature"},
    {R"("temperature":"")", "body.temperature"},
    {R"("temperature":"0x1")", "body.temperature"},
    {R"("temperature":[])", "body.temperature"},
    {R"("temperature":{})", "body.temperature"},
    {R"("top_p":0)", "top_p"},
    {R"("top_p":1.01)", "top_p"},
    {R"("top_p":"nan")", "top_p"},
    {R"("top_p":[])", "body.top_p"},
    {R"("top_k":-2)", ""},
    {R"("top_k":1.5)", "body.top_k"},
    {R"("top_k":"5.5")", "body.top_k"},
    {R"("top_k":"x")", "body.top_k"},
    {R"("min_p":-0.1)", ""},
    {R"("min_p":1.1)", ""},
    {R"("min_p":"x")", "body.min_p"},
    {R"("repetition_penalty":0)", ""},
    {R"("repetition_penalty":"inf")", ""},
    {R"("repetition_penalty":{})", "body.repetition_penalty"},
    {R"("frequency_penalty":2.1)", ""},
    {R"("frequency_penalty":"x")", "body.frequency_penalty"},
    {R"("presence_penalty":-2.1)", ""},
    {R"("presence_penalty":[1])", "body.presence_penalty"},
    {R"("logit_bias":[])", "body.logit_bias"},
    {R"("logit_bias":{"a":1})", "logit_bias"},
    {R"("logit_bias":{"-1":1})", "logit_bias"},
    {R"("logit_bias":{"99999999999":1})", "logit_bias"},
    {R"("logit_bias":{"1.5":1})", "logit_bias"},
    {R"("logit_bias":{"5":"x"})", "body.logit_bias.5"},
    {R"("logit_bias":{"5":null})", "body.logit_bias.5"},
    {R"("seed":1.5)", "body.seed"},
    {R"("seed":18446744073709551616)", "body.seed"},
    {R"("seed":9223372036854775808)", "body.seed"},
    {R"("seed":-9223372036854775809)", "body.seed"},
    {R"("seed":"x")", "body.seed"},
    {R"("n":0)", ""},
    {R"("n":-1)", ""},
    {R"("n":"0")", ""},
    {R"("n":16385)", ""},
    {R"("n":18446744073709551616)", ""},
    {R"("n":"1000000000000000000000000000000")", ""},
    {R"("n":"x")", "body.n"},
    {R"("n":"1__0")", "body.n"},
    {R"("n":1.5)", "body.n"},
    {R"("n":[])", "body.n"},
    {R"("stop":1)", "body.stop"},
    {R"("stop":true)", "body.stop"},
    {R"("stop":"")", ""},
    {R"("stop":["a",""])", ""},
    {R"("stop":["a",2])", "body.stop"},
    {R"("stop":{})", "body.stop"},
    {R"("stop_token_ids":5)", "body.stop_token_ids"},
    {R"("stop_token_ids":["a"])", "body.stop_token_ids.0"},
    {R"("stop_token_ids":[1,2.5])", "body.stop_token_ids.1"},
    {R"("stop_token_ids":[-1])", "stop_token_ids"},
    {R"("include_stop_str_in_output":3)", "body.include_stop_str_in_output"},
    {R"("include_stop_str_in_output":null)", "body.include_stop_str_in_output"},
    {R"("ignore_eos":"x")", "body.ignore_eos"},
    {R"("ignore_eos":" yes")", "body.ignore_eos"},
    {R"("ignore_eos":0.5)", "body.ignore_eos"},
    {R"("ignore_eos":null)", "body.ignore_eos"},
    {R"("min_tokens":-1)", ""},
    {R"("min_tokens":0.5)", "body.min_tokens"},
    {R"("min_tokens":null)", "body.min_tokens"},
    {R"("skip_special_tokens":2)", "body.skip_special_tokens"},
    {R"("spaces_between_special_tokens":"")", "body.spaces_between_special_tokens"},
    {R"("add_special_tokens":"x")", "body.add_special_tokens"},
    {R"("allowed_token_ids":[])", "allowed_token_ids"},
    {R"("allowed_token_ids":[-1])", "allowed_token_ids"},
    {R"("allowed_token_ids":[1.5])", "body.allowed_token_ids.0"},
    {R"("allowed_token_ids":"1")", "body.allowed_token_ids"},
    {R"("bad_words":"x")", "body.bad_words"},
    {R"("bad_words":null)", "body.bad_words"},
    {R"("bad_words":[""])", ""},
    {R"("bad_words":[" "])", "bad_words"},
    {R"("bad_words":[1])", "body.bad_words.0"},
    {R"("truncate_prompt_tokens":-2)", "body.truncate_prompt_tokens"},
    {R"("truncate_prompt_tokens":0)", ""},
    {R"("truncate_prompt_tokens":"x")", "body.truncate_prompt_tokens"},
    {R"("truncate_prompt_tokens":9223372036854775808)", "body.truncate_prompt_tokens"},
    {R"("prompt_logprobs":-2)", "prompt_logprobs"},
    {R"("prompt_logprobs":"1")", "prompt_logprobs"},
    {R"("prompt_logprobs":[])", "prompt_logprobs"},
    {R"("prompt_logprobs":1.5)", "body.prompt_logprobs"},
    {R"("prompt_logprobs":1,"stream":true)", "prompt_logprobs"},
    {R"("prompt_logprobs":-1,"stream":1)", "prompt_logprobs"},
    {R"("stream":"maybe")", "body.stream"},
    {R"("stream":2)", "body.stream"},
    {R"("stream":[])", "body.stream"},
    {R"("stream_options":{"include_usage":true})", "stream_options"},
    {R"("stream_options":{"include_usage":false},"stream":false)", "stream_options"},
    {R"("stream_options":1)", "stream_options"},
    {R"("stream_options":[])", "body.stream_options"},
    {R"("stream":true,"stream_options":1)", "body.stream_options"},
    {R"("stream":true,"stream_options":{"include_usage":"x"})", "body.stream_options.include_usage"},
    {R"("response_format":"json")", "body.response_format"},
    {R"("response_format":[])", "body.response_format"},
    {R"("response_format":{})", "body.response_format.type"},
    {R"("response_format":{"type":1})", "body.response_format.type"},
    {R"("response_format":{"type":"xml"})", "body.response_format.type"},
    {R"("response_format":{"type":"json_object"})", "response_format"},
    {R"("response_format":{"type":"json_schema"})", "response_format"},
    {R"("response_format":{"type":"json_schema","json_schema":{}})", "response_format"},
    {R"("response_format":{"type":"structural_tag"})", "response_format"},
    {R"("structured_outputs":{})", ""},
    {R"("structured_outputs":{"regex":"a"})", "structured_outputs"},
    {R"("structured_outputs":1)", "body.structured_outputs"},
    {R"("guided_json":{})", "guided_json"},
    {R"("use_beam_search":true)", "use_beam_search"},
    {R"("use_beam_search":"x")", "body.use_beam_search"},
    {R"("use_beam_search":null)", "body.use_beam_search"},
    {R"("length_penalty":"a")", "body.length_penalty"},
    {R"("watermarking":"x")", "body.watermarking"},
    {R"("logits_processors":[])", "logits_processors"},
    {R"("repetition_detection":1)", "body.repetition_detection"},
    {R"("repetition_detection":{"max_pattern_size":-1})", ""},
    {R"("repetition_detection":{"min_pattern_size":2})", ""},
    {R"("repetition_detection":{"max_pattern_size":3})", ""},
    {R"("repetition_detection":{"max_pattern_size":3,"min_count":"x"})",
     "body.repetition_detection.min_count"},
    {R"("repetition_detection":{"max_pattern_size":3,"min_count":2})", "repetition_detection"},
    {R"("thinking_token_budget":5)", ""},
    {R"("thinking_token_budget":-2)", "thinking_token_budget"},
    {R"("thinking_token_budget":"5")", "thinking_token_budget"},
    {R"("thinking_token_budget":true)", "thinking_token_budget"},
    {R"("logprob_token_ids":[1])", "logprob_token_ids"},
    {R"("kv_transfer_params":1)", "body.kv_transfer_params"},
    {R"("kv_transfer_params":[])", "body.kv_transfer_params"},
    {R"("kv_transfer_params":{"do_remote_prefill":true})", "kv_transfer_params"},
    {R"("ec_transfer_params":{"a":1})", "ec_transfer_params"},
    {R"("priority":"high")", "body.priority"},
    {R"("priority":null)", "body.priority"},
    {R"("priority":9223372036854775808)", "body.priority"},
    {R"("cache_salt":"")", "cache_salt"},
    {R"("cache_salt":1)", "cache_salt"},
    {R"("cache_salt":"a/b")", "cache_salt"},
    {R"("cache_salt":"a\u0000")", "cache_salt"},
    {R"("request_id":7)", "body.request_id"},
    {R"("request_id":null)", "body.request_id"},
    {R"("session_id":7)", "body.session_id"},
    {R"("return_token_ids":"x")", "body.return_token_ids"},
    {R"("return_tokens_as_token_ids":"x")", "body.return_tokens_as_token_ids"},
    {R"("return_token_offsets":"x")", "body.return_token_offsets"},
    {R"("return_mm_kwargs":"x")", "body.return_mm_kwargs"},
    {R"("mm_payload":"x")", "body.mm_payload"},
    {R"("mm_payload":null)", "body.mm_payload"},
    {R"("routed_experts_prompt_start":-1)", "body.routed_experts_prompt_start"},
    {R"("user":1)", "body.user"},
    {R"("echo":"x")", "body.echo"},
    {R"("stream_interval":0)", "body.stream_interval"},
    {R"("timeout":0)", "timeout"},
    {R"("timeout":-1)", "timeout"},
    {R"("timeout":"x")", "body.timeout"},
    {R"("vllm_xargs":[])", "body.vllm_xargs"},
    {R"("vllm_xargs":{"a":{}})", "body.vllm_xargs.a"},
    {R"("vllm_xargs":{"a":null})", "body.vllm_xargs.a"},
    {R"("best_of":2)", "best_of"},
};

const BadCase kBadChat[] = {
    {R"("max_tokens":0)", "max_tokens"},
    {R"("max_tokens":"x")", "body.max_tokens"},
    {R"("max_completion_tokens":1.5)", "body.max_completion_tokens"},
    {R"("max_completion_tokens":-1)", "max_tokens"},
    {R"("logprobs":5)", "body.logprobs"},
    {R"("top_logprobs":5)", "top_logprobs"},
    {R"("top_logprobs":"2")", "top_logprobs"},
    {R"("logprobs":true,"top_logprobs":-2)", "top_logprobs"},
    {R"("logprobs":true,"top_logprobs":1.5)", "body.top_logprobs"},
    {R"("tools":{})", "body.tools"},
    {R"("tools":[])", "tools"},
    {R"("tools":[],"tool_choice":"none")", "tools"},
    {R"("tools":[1])", "body.tools.0"},
    {R"("tools":[1],"tool_choice":"none")", "body.tools.0"},
    {R"("tools":[{"type":"web"}])", "body.tools.0.type"},
    {R"("tools":[{"type":null,"function":{"name":"f"}}])", "body.tools.0.type"},
    {R"("tools":[{"type":"function"}])", "body.tools.0.function"},
    {R"("tools":[{"type":"function","function":{}}])", "body.tools.0.function.name"},
    {R"("tools":[{"type":"function","function":{"name":1}}])", "body.tools.0.function.name"},
    {R"("tools":[{"function":{"name":"f","description":5}}])", "body.tools.0.function.description"},
    {R"("tools":[{"function":{"name":"f","strict":"x"}}])", "body.tools.0.function.strict"},
    {R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])",
     "body.tools.0.function.parameters"},
    {R"("tools":[{"function":{"name":"f"}}])", ""},
    {R"("tools":[{"function":{"name":"f"}}],"tool_choice":"auto")", ""},
    {R"("tools":[{"function":{"name":"f"}}],"tool_choice":"required")", ""},
    {R"("tools":[{"function":{"name":"f"}}],"tool_choice":"bogus")", "tool_choice"},
    {R"("tools":[{"function":{"name":"f"}}],"tool_choice":1)", "tool_choice"},
    {R"("tools":[{"function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}})", ""},
    {R"("tools":[{"function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}})",
     "tool_choice"},
    {R"("tools":[{"function":{"name":"f"}}],"tool_choice":{"type":"function"})", "tool_choice.function"},
    {R"("tools":[{"function":{"name":"f"}}],"tool_choice":{"function":{"name":""}})",
     "tool_choice.function.name"},
    {R"("tool_choice":"auto")", "tool_choice"},
    {R"("tool_choice":"sometimes")", "tool_choice"},
    {R"("tool_choice":1)", "tool_choice"},
    {R"("parallel_tool_calls":"x")", "body.parallel_tool_calls"},
    {R"("functions":[{"name":"f"}])", "functions"},
    {R"("function_call":{"name":"f"})", "function_call"},
    {R"("chat_template":1)", "body.chat_template"},
    {R"("chat_template_kwargs":[])", "body.chat_template_kwargs"},
    {R"("chat_template_kwargs":{"messages":[]})", ""},
    {R"("documents":{})", "body.documents"},
    {R"("documents":["d"])", "body.documents.0"},
    {R"("documents":[{"a":1}])", "body.documents.0.a"},
    {R"("echo":null)", "body.echo"},
    {R"("add_generation_prompt":"x")", "body.add_generation_prompt"},
    {R"("add_generation_prompt":null)", "body.add_generation_prompt"},
    {R"("continue_final_message":"x")", "body.continue_final_message"},
    {R"("continue_final_message":true)", ""},
    {R"("continue_final_message":true,"add_generation_prompt":true)", ""},
    {R"("reasoning_effort":1)", "body.reasoning_effort"},
    {R"("reasoning_effort":"extreme")", "body.reasoning_effort"},
    {R"("include_reasoning":"x")", "body.include_reasoning"},
    {R"("include_reasoning":null)", "body.include_reasoning"},
    {R"("return_prompt_text":"x")", "body.return_prompt_text"},
    {R"("return_prompt_text":true)", "return_prompt_text"},
    {R"("modalities":["text","audio"])", "modalities"},
    {R"("audio":{"voice":"x"})", "audio"},
    {R"("web_search_options":{})", "web_search_options"},
    {R"("mm_processor_kwargs":1)", "body.mm_processor_kwargs"},
    {R"("mm_processor_kwargs":{"a":1})", "mm_processor_kwargs"},
    {R"("media_io_kwargs":{"a":{}})", "media_io_kwargs"},
    {R"("media_io_kwargs":{"a":1})", "body.media_io_kwargs.a"},
};

const BadCase kBadText[] = {
    {R"("max_tokens":0)", "max_tokens"},
    {R"("max_tokens":-1,"echo":true)", "max_tokens"},
    {R"("max_tokens":[])", "body.max_tokens"},
    {R"("logprobs":-2)", "logprobs"},
    {R"("logprobs":"1")", "logprobs"},
    {R"("logprobs":1.5)", "body.logprobs"},
    {R"("suffix":"s")", "suffix"},
    {R"("suffix":"")", "suffix"},
    {R"("suffix":1)", "body.suffix"},
    {R"("best_of":"x")", "best_of"},
    {R"("n":null)", "body.n"},
    {R"("prompt_embeds":"x")", "prompt_embeds"},
    {R"("prompt_embeds":1)", "body.prompt_embeds"},
};

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
  GenerateRequest request = text(text_body(
      R"("temperature":"0.5","max_tokens":"3.0","seed":"7","stream":"Yes","logprobs":true,"top_k":"1_0","n":2.0)"));
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.max_tokens, 3);
  EXPECT_EQ(request.sampling.seed, 7);
  EXPECT_TRUE(request.stream);
  EXPECT_EQ(request.num_logprobs, 1);
  EXPECT_EQ(request.sampling.top_k, 10);
  EXPECT_EQ(request.n, 2);
  request = text(text_body(R"("logprobs":false,"seed":-1,"stream":"off")"));
  EXPECT_EQ(request.num_logprobs, 0);
  EXPECT_FALSE(request.sampling.seed) << "any";
  EXPECT_FALSE(request.stream);
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
    GenerateRequest request =
        chat(chat_body(std::string(R"("stream":true,"stream_options":)") + one.options));
    EXPECT_EQ(request.include_usage, one.usage) << one.options;
    EXPECT_EQ(request.continuous_usage, one.continuous) << one.options;
  }
}

TEST(TokensAsIds, TheRequestHasTheLastWord) {
  RequestLimits limits;
  limits.return_tokens_as_token_ids = true;
  auto asks = [&](const char* field) {
    return parse_completion_request(text_body(field), limits)->return_tokens_as_token_ids;
  };
  EXPECT_TRUE(asks(R"("n":1)"));
  EXPECT_TRUE(asks(R"("return_tokens_as_token_ids":null)"));
  EXPECT_FALSE(asks(R"("return_tokens_as_token_ids":false)"));
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

}  // namespace
}  // namespace pagoda
