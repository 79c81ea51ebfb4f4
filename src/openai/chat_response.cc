#include "base/json.h"
#include "openai/response_parts.h"

namespace pagoda {
namespace {

std::string chunk_begin(const ResponseHead& head, int32_t index) {
  std::string out;
  out.reserve(256);
  append_head(&out, head, "chat.completion.chunk");
  out += ",\"choices\":[{\"index\":";
  out += std::to_string(index);
  return out;
}

void append_choice(std::string* out, const ResponseHead& head, const GenerateRequest& request,
                   const ChoiceResult& choice) {
  const TextDelta& whole = choice.whole;
  *out += "{\"index\":" + std::to_string(choice.index) + ",\"message\":{\"role\":";
  append_json_string(out, head.role);
  *out += ",\"content\":";
  append_json_string(out, whole.prompt_text + whole.text);
  *out += ",\"refusal\":null,\"reasoning\":null}";
  append_chat_logprobs(out, request, whole);
  append_finish(out, whole);
  append_ids(out, "token_ids", request.return_token_ids, whole.token_ids);
  *out += '}';
}

}  // namespace

std::string write_chat_role_chunk(const ResponseHead& head, const GenerateRequest& request,
                                  const SharedList<TokenId>& prompt_token_ids, int32_t index,
                                  const Usage* running_usage) {
  std::string out = chunk_begin(head, index);
  out += ",\"delta\":{\"role\":";
  append_json_string(&out, head.role);
  out += ",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]";
  append_ids(&out, "prompt_token_ids", request.return_token_ids, prompt_token_ids);
  if (running_usage != nullptr) append_usage(&out, *running_usage);
  out += '}';
  return out;
}

std::string write_chat_chunk(const ResponseHead& head, const GenerateRequest& request, const TextDelta& delta,
                             int32_t index, const Usage* running_usage) {
  std::string out = chunk_begin(head, index);
  out += ",\"delta\":{\"content\":";
  append_json_string(&out, delta.prompt_text.empty() ? delta.text : delta.prompt_text + delta.text);
  out += '}';
  append_chat_logprobs(&out, request, delta);
  // What stopped the choice is told with its end.
  if (delta.finish != FinishReason::kNone)
    append_finish(&out, delta);
  else
    out += ",\"finish_reason\":null";
  append_ids(&out, "token_ids", request.return_token_ids, delta.token_ids);
  out += "}]";
  if (running_usage != nullptr) append_usage(&out, *running_usage);
  out += '}';
  return out;
}

std::string write_chat_response(const ResponseHead& head, const GenerateRequest& request,
                                const std::vector<ChoiceResult>& choices, const Usage& usage) {
  std::string out;
  append_head(&out, head, "chat.completion");
  out += ",\"choices\":[";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) out += ',';
    append_choice(&out, head, request, choices[i]);
  }
  out += "],\"service_tier\":null";
  append_usage(&out, usage);
  if (request.num_prompt_logprobs && !choices.empty())
    append_prompt_logprobs(&out, choices[0].whole.prompt_logprobs);
  else
    out += ",\"prompt_logprobs\":null";
  const bool ids = request.return_token_ids && !choices.empty();
  append_ids(&out, "prompt_token_ids", ids,
             ids ? choices[0].whole.prompt_token_ids : std::span<const TokenId>());
  out += '}';
  return out;
}

}  // namespace pagoda
