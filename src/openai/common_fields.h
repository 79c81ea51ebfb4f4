#pragma once
#include "contract/generate_request.h"
#include "openai/fields.h"
#include "openai/requests.h"

namespace pagoda {

// A body that must be a JSON object.
Result<Value> parse_body(std::string_view body);

// The fields that chat and text completions share: sampling, stops, streaming, and those that are known but
// refused.
void read_common_fields(Fields* fields, const RequestLimits& limits, GenerateRequest* request);

// Judges and normalizes: only role, content, name, tool_calls (arguments parsed), tool_call_id and reasoning
// stay. Content is a string, null, or a list of {"type": "text", "text": ...}.
void read_messages(Fields* fields, const RequestLimits& limits, ChatPrompt* chat);
// tools and tool_choice.
void read_tools(Fields* fields, const RequestLimits& limits, ChatPrompt* chat);
// chat_template, chat_template_kwargs, documents, reasoning_effort, add_generation_prompt,
// continue_final_message.
void read_template_fields(Fields* fields, ChatPrompt* chat);

}  // namespace pagoda
