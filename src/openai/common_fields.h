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
// refused. Ranges are not checked here (request_rules.h).
void read_common_fields(Fields* fields, const RequestLimits& limits, ParsedRequest* request);

// Checks and normalizes: what vLLM shows to templates stays, in its order: role, content, tool_calls
// (arguments parsed), reasoning, tool_call_id, name, task, tools. Content is a string, null, or a list of
// parts (contract/content_part.h). What is in arguments counts on.
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

}  // namespace pagoda
