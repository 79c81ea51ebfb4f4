// What vLLM asks of a request beyond the type of each field. The errors are those of values: the param is the
// field's name where vLLM gives one, and empty where it does not.
#pragma once
#include "openai/fields.h"
#include "openai/requests.h"

namespace pagoda {

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
