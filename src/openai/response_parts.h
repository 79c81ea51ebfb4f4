#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "openai/answer_format.h"

namespace pagoda {

// One server-sent event, whose data `write` appends: JSON without a newline.
template <class Write>
void append_sse_event(std::string* events, const Write& write) {
  constexpr std::size_t kMostEvents = 320;  // bytes, of one token
  if (events->empty()) events->reserve(kMostEvents);
  *events += "data: ";
  write(events);
  *events += "\n\n";
}
// How a stream of the OpenAI API ends: with its usage, if that is wanted, or with an error; then [DONE].
void append_sse_end(std::string* events, const ResponseHead& head, std::string_view object,
                    const ResponseShape& shape, const AnswerEnd& end);
void append_sse_error(std::string* events, const ApiError& error);

// Each appends `,"name":value` (append_head: the opening brace and the members that every answer has).
void append_head(std::string* out, const ResponseHead& head, std::string_view object);
void append_usage(std::string* out, const Usage& usage);
void append_metrics(std::string* out, const std::optional<RequestMetrics>& metrics);  // nothing, if unset
// finish_reason and stop_reason; null while the choice goes on.
void append_finish(std::string* out, const TextDelta& delta);
// null where `wanted` is false.
void append_ids(std::string* out, std::string_view name, bool wanted, std::span<const TokenId> ids);
// {"content": [...], "refusal": null}, or null when none were asked for.
void append_chat_logprobs(std::string* out, const ResponseShape& shape, const TextDelta& delta);
// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}, or null. With echo the prompt's come first.
void append_completion_logprobs(std::string* out, const ResponseShape& shape, const TextDelta& delta);
// [null, {"id": {"logprob", "rank", "decoded_token"}}, ...].
void append_prompt_logprobs(std::string* out, const std::vector<TokenLogprobText>& tokens);

}  // namespace pagoda
