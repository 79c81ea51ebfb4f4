#include <algorithm>

#include "base/json.h"
#include "openai/response_parts.h"

namespace pagoda {
namespace {

// A choice of a chunk or of a whole answer: both have the same members.
void append_choice(std::string* out, const GenerateRequest& request, const TextDelta& delta, int32_t index) {
  *out += "{\"index\":" + std::to_string(index) + ",\"text\":";
  append_json_string(out, delta.prompt_text.empty() ? delta.text : delta.prompt_text + delta.text);
  append_completion_logprobs(out, request, delta);
  append_finish(out, delta);
  append_ids(out, "token_ids", request.return_token_ids, delta.token_ids);
  append_ids(out, "prompt_token_ids", request.return_token_ids && !delta.prompt_token_ids.empty(),
             delta.prompt_token_ids);
}

}  // namespace

std::string write_completion_chunk(const ResponseHead& head, const GenerateRequest& request,
                                   const TextDelta& delta, int32_t index, const Usage* running_usage) {
  std::string out;
  out.reserve(256);
  append_head(&out, head, "text_completion");
  out += ",\"choices\":[";
  append_choice(&out, request, delta, index);
  out += "}]";
  if (running_usage != nullptr) append_usage(&out, *running_usage);
  out += '}';
  return out;
}

std::string write_completion_response(const ResponseHead& head, const GenerateRequest& request,
                                      const std::vector<ChoiceResult>& choices, const Usage& usage) {
  std::string out;
  append_head(&out, head, "text_completion");
  out += ",\"choices\":[";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) out += ',';
    append_choice(&out, request, choices[i].whole, choices[i].index);
    const auto of_prompt = static_cast<std::size_t>(choices[i].whole.choice);  // choices share their prompt
    if (request.num_prompt_logprobs)
      append_prompt_logprobs(&out, choices[i - std::min(i, of_prompt)].whole.prompt_logprobs);
    else
      out += ",\"prompt_logprobs\":null";
    out += '}';
  }
  out += "],\"service_tier\":null";
  append_usage(&out, usage);
  out += '}';
  return out;
}

std::string write_usage_chunk(const ResponseHead& head, const GenerateRequest& request, const Usage& usage) {
  std::string out;
  append_head(&out, head, request.is_chat() ? "chat.completion.chunk" : "text_completion");
  out += ",\"choices\":[]";
  append_usage(&out, usage);
  out += '}';
  return out;
}

void ChoiceResult::append(TextDelta&& delta) {
  auto move_to = [](auto* to, auto* from) {
    if (to->empty())
      *to = std::move(*from);
    else
      to->insert(to->end(), std::make_move_iterator(from->begin()), std::make_move_iterator(from->end()));
  };
  move_to(&whole.token_ids, &delta.token_ids);
  move_to(&whole.logprobs, &delta.logprobs);
  move_to(&whole.prompt_logprobs, &delta.prompt_logprobs);
  if (!delta.prompt_token_ids.empty()) whole.prompt_token_ids = std::move(delta.prompt_token_ids);
  whole.text += delta.text;
  whole.prompt_text += delta.prompt_text;
  whole.prompt_index = delta.prompt_index;
  whole.choice = delta.choice;
  whole.finish = delta.finish;
  whole.stop_reason = std::move(delta.stop_reason);
  whole.counts = delta.counts;
  whole.timings = delta.timings;
}

}  // namespace pagoda
