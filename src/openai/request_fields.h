#pragma once
#include "base/json.h"
#include "contract/generate_request.h"
#include "openai/fields.h"
#include "openai/requests.h"

namespace pagoda {

inline constexpr std::size_t kKeyBytes = 60;  // of an object's key in an error

// A body that must be a JSON object. What is no JSON is an error at "body.17", the character where it stops
// being some. Errors of the meter's memory are handed on.
Result<Value> parse_body(std::string_view body, JsonMeter* meter);

// Bodies that are parsed. Of one that is good every field is read, whatever it holds: the API's description
// is held to that.
Result<ParsedRequest> read_chat_request(Fields* fields, const RequestLimits& limits, JsonMeter* meter);
Result<ParsedRequest> read_completion_request(Fields* fields, const RequestLimits& limits);
Result<TokenizeRequest> read_tokenize_request(Fields* fields, const RequestLimits& limits, JsonMeter* meter);

// The fields that chat and text completions share: sampling, stops, streaming, and those that are known but
// refused. Ranges are not checked here (check_ranges).
void read_common_fields(Fields* fields, const RequestLimits& limits, ParsedRequest* request);

// Checks and normalizes: what vLLM shows to templates stays, in its order: role, content, tool_calls
// (arguments parsed), reasoning, tool_call_id, name, task, tools. Content is a string, null, or a list of
// parts (contract/generate_request.h). What is in arguments counts on.
void read_messages(Fields* fields, const RequestLimits& limits, JsonMeter* meter, ChatPrompt* chat);
// tools, tool_choice and what they were called once. Tools that may be called are refused: nothing here
// parses a call out of an answer.
void read_tools(Fields* fields, const RequestLimits& limits, ChatPrompt* chat);
// tools alone, for the template: the members that vLLM's schema has, with its defaults for what is missing.
void read_tool_list(Fields* fields, ChatPrompt* chat);
// mm_processor_kwargs and media_io_kwargs, which can say nothing here.
void refuse_media_settings(Fields* fields);
// chat_template, chat_template_kwargs, documents, reasoning_effort, add_generation_prompt,
// continue_final_message.
void read_template_fields(Fields* fields, ChatPrompt* chat);

// ---- request_rules.cc: what vLLM asks of a request beyond the type of each field. The errors are those of
// values: the param is the field's name where vLLM gives one, and empty where it does not.

// Between fields, on the body as it came; checked before the fields themselves.
void check_chat_rules(Fields* fields);
void check_completion_rules(Fields* fields);
void check_tool_rules(Fields* fields);

// Ranges of the numbers, once all of them are read.
Status check_ranges(const ParsedRequest& request, int32_t n_max, int64_t max_tokens_min);
// For numbers that do not fit what the request holds: `got` is as describe_value has it.
Status n_too_small(const std::string& got);
// best_of may say what n says already.
void refuse_best_of(Fields* fields, int32_t n);
Status n_too_large(const std::string& got, int32_t n_max);
Status top_k_too_small(const std::string& got);

// Known fields of what this server does not have: nothing asked for passes, the rest is an error that names
// the field. Each would change the answer, so none is passed over in silence.
void reject_unsupported_fields(Fields* fields);

}  // namespace pagoda
