#include <algorithm>

#include "base/json.h"
#include "openai/response_parts.h"

namespace pagoda {
namespace {

constexpr std::string_view kObject = "text_completion";  // of answers and chunks alike

// A choice of a chunk or of a whole answer: both have the same members.
void append_choice(std::string* out, const ResponseShape& shape, const TextDelta& delta, int32_t index) {
  *out += "{\"index\":" + std::to_string(index) + ",\"text\":";
  append_json_string(out, delta.prompt_text.empty() ? delta.text : delta.prompt_text + delta.text);
  append_completion_logprobs(out, shape, delta);
  append_finish(out, delta);
  append_ids(out, "token_ids", shape.return_token_ids, delta.token_ids);
  append_ids(out, "prompt_token_ids", shape.return_token_ids && !delta.prompt_token_ids.empty(),
             delta.prompt_token_ids);
}

void append_chunk(std::string* out, const ResponseHead& head, const ResponseShape& shape,
                  const TextDelta& delta, int32_t index) {
  append_head(out, head, kObject);
  *out += ",\"choices\":[";
  append_choice(out, shape, delta, index);
  *out += "}]";
  if (shape.continuous_usage) append_usage(out, {delta.counts.num_prompt, delta.counts.num_output});
  *out += '}';
}

class CompletionFormat : public AnswerFormat {
 public:
  std::string_view id_prefix() const override { return "cmpl-"; }

  std::string whole(const ResponseHead& head, const ResponseShape& shape,
                    const std::vector<ChoiceResult>& choices, const AnswerEnd& end) const override {
    std::string out;
    append_head(&out, head, kObject);
    out += ",\"choices\":[";
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (i > 0) out += ',';
      append_choice(&out, shape, choices[i].whole, choices[i].index);
      const auto of_prompt = static_cast<std::size_t>(choices[i].whole.choice);  // choices share their prompt
      if (shape.num_prompt_logprobs)
        append_prompt_logprobs(&out, choices[i - std::min(i, of_prompt)].whole.prompt_logprobs);
      else
        out += ",\"prompt_logprobs\":null";
      out += '}';
    }
    out += "],\"service_tier\":null";
    append_usage(&out, end.usage);
    append_metrics(&out, end.metrics);
    out += '}';
    return out;
  }

  void begin(std::string*, const ResponseHead&, const ResponseShape&, std::size_t,
             const TextDelta&) const override {}
  void delta(std::string* events, const ResponseHead& head, const ResponseShape& shape,
             const TextDelta& delta, int32_t index) const override {
    append_sse_event(events, [&](std::string* out) { append_chunk(out, head, shape, delta, index); });
  }
  void end(std::string* events, const ResponseHead& head, const ResponseShape& shape,
           const AnswerEnd& end) const override {
    append_sse_end(events, head, kObject, shape, end);
  }
  void error(std::string* events, const ApiError& error) const override { append_sse_error(events, error); }
};

}  // namespace

const AnswerFormat& completion_format() {
  static const CompletionFormat format;
  return format;
}

}  // namespace pagoda
