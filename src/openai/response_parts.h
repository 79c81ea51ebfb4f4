#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "openai/responses.h"

namespace pagoda {

// Each appends `,"name":value` (append_head: the opening brace and the members that every answer has).
void append_head(std::string* out, const ResponseHead& head, std::string_view object);
void append_usage(std::string* out, const Usage& usage);
// finish_reason and stop_reason; null while the choice goes on.
void append_finish(std::string* out, const TextDelta& delta);
// null where `wanted` is false.
void append_ids(std::string* out, std::string_view name, bool wanted, std::span<const TokenId> ids);
// {"content": [...], "refusal": null}, or null when none were asked for.
void append_chat_logprobs(std::string* out, const GenerateRequest& request, const TextDelta& delta);
// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, or null. With echo the prompt's come first.
void append_completion_logprobs(std::string* out, const GenerateRequest& request, const TextDelta& delta);
// [null, {"id": {"logprob", "rank", "decoded_token"}}, ...].
void append_prompt_logprobs(std::string* out, const std::vector<TokenLogprobText>& tokens);

}  // namespace pagoda
