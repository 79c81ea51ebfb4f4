#include <span>

#include "base/json.h"
#include "openai/response_parts.h"

namespace pagoda {
namespace {

void append_chunk_begin(std::string* out, const ResponseHead& head, int32_t index) {
  append_head(out, head, "chat.completion.chunk");
  *out += ",\"choices\":[{\"index\":";
  *out += std::to_string(index);
}

void append_role_chunk(std::string* out, const ResponseHead& head, const ResponseShape& shape,
                       const TextDelta& first, int32_t index) {
  append_chunk_begin(out, head, index);
  *out += ",\"delta\":{\"role\":";
  append_json_string(out, head.role);
  *out += ",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]";
  append_ids(out, "prompt_token_ids", shape.return_token_ids, first.prompt_token_ids);
  if (shape.continuous_usage) append_usage(out, {.prompt_tokens = first.counts.num_prompt});
  *out += '}';
}

void append_chunk(std::string* out, const ResponseHead& head, const ResponseShape& shape,
                  const TextDelta& delta, int32_t index) {
  append_chunk_begin(out, head, index);
  *out += ",\"delta\":{\"content\":";
  append_json_string(out, delta.prompt_text.empty() ? delta.text : delta.prompt_text + delta.text);
  *out += '}';
  append_chat_logprobs(out, shape, delta);
  // What stopped the choice is told with its end.
  if (delta.finish != FinishReason::kNone)
    append_finish(out, delta);
  else
    *out += ",\"finish_reason\":null";
  append_ids(out, "token_ids", shape.return_token_ids, delta.token_ids);
  *out += "}]";
  if (shape.continuous_usage) append_usage(out, {delta.counts.num_prompt, delta.counts.num_output});
  *out += '}';
}

void append_choice(std::string* out, const ResponseHead& head, const ResponseShape& shape,
                   const ChoiceResult& choice) {
  const TextDelta& whole = choice.whole;
  *out += "{\"index\":" + std::to_string(choice.index) + ",\"message\":{\"role\":";
  append_json_string(out, head.role);
  *out += ",\"content\":";
  append_json_string(out, whole.prompt_text + whole.text);
  *out += ",\"refusal\":null,\"reasoning\":null}";
  append_chat_logprobs(out, shape, whole);
  append_finish(out, whole);
  append_ids(out, "token_ids", shape.return_token_ids, whole.token_ids);
  *out += '}';
}

class ChatFormat : public AnswerFormat {
 public:
  std::string_view id_prefix() const override { return "chatcmpl-"; }

  std::string whole(const ResponseHead& head, const ResponseShape& shape,
                    const std::vector<ChoiceResult>& choices, const AnswerEnd& end) const override {
    std::string out;
    append_head(&out, head, "chat.completion");
    out += ",\"choices\":[";
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      append_choice(&out, head, shape, choices[i]);
    }
    out += "],\"service_tier\":null";
    append_usage(&out, end.usage);
    if (shape.num_prompt_logprobs && !choices.empty())
      append_prompt_logprobs(&out, choices[0].whole.prompt_logprobs);
    else
      out += ",\"prompt_logprobs\":null";
    const bool ids = shape.return_token_ids && !choices.empty();
    append_ids(&out, "prompt_token_ids", ids,
               ids ? choices[0].whole.prompt_token_ids : std::span<const TokenId>());
    append_metrics(&out, end.metrics);
    out += '}';
    return out;
  }

  // The roles of all choices come before all tokens.
  void begin(std::string* events, const ResponseHead& head, const ResponseShape& shape,
             std::size_t num_choices, const TextDelta& first) const override {
    for (std::size_t i = 0; i < num_choices; ++i)
      append_sse_event(events, [&](std::string* out) {
        append_role_chunk(out, head, shape, first, static_cast<int32_t>(i));
      });
  }
  void delta(std::string* events, const ResponseHead& head, const ResponseShape& shape,
             const TextDelta& delta, int32_t index) const override {
    append_sse_event(events, [&](std::string* out) { append_chunk(out, head, shape, delta, index); });
  }
  void end(std::string* events, const ResponseHead& head, const ResponseShape& shape,
           const AnswerEnd& end) const override {
    append_sse_end(events, head, "chat.completion.chunk", shape, end);
  }
  void error(std::string* events, const ApiError& error) const override { append_sse_error(events, error); }
};

}  // namespace

const AnswerFormat& chat_format() {
  static const ChatFormat format;
  return format;
}

}  // namespace pagoda
