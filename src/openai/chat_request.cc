#include "openai/common_fields.h"

namespace pagoda {
namespace {

void read_max_tokens(Fields* fields, SamplingFields* sampling) {
  fields->read("max_tokens", &sampling->max_tokens, 1, kInt64Max);
  fields->read("max_completion_tokens", &sampling->max_tokens, 1, kInt64Max);  // the newer name wins
}

void read_logprobs(Fields* fields, GenerateRequest* request) {
  bool wanted = false;
  fields->read("logprobs", &wanted);
  std::optional<int64_t> top;
  fields->read("top_logprobs", &top, -1, kInt32Max - 1);
  if (top && *top != 0 && !wanted)
    fields->fail("top_logprobs", "when using `top_logprobs`, `logprobs` must be set to true.");
  if (wanted) request->num_logprobs = !top ? 0 : *top < 0 ? kAllLogprobs : static_cast<int32_t>(*top);
}

// Answers are text.
void refuse_other_media(Fields* fields) {
  const char* why = "Only text can be generated";
  if (const Value* modalities = fields->get("modalities")) {
    if (!modalities->is_array())
      fields->fail("modalities", "Input should be a valid list, " + describe_value(*modalities));
    else
      for (const Value& item : modalities->as_array())
        if (!(item == Value("text")))
          fields->fail("modalities", std::string(why) + ", " + describe_value(item));
  }
  fields->refuse("audio", why);
  fields->refuse("web_search_options", "The server can not search the web");
}

}  // namespace

Result<GenerateRequest> parse_chat_request(std::string_view body, const RequestLimits& limits) {
  PAGODA_TRY(Value root, parse_body(body));
  Fields fields(&root.as_object());
  GenerateRequest request;
  request.add_special_tokens = false;
  ChatPrompt chat;
  read_messages(&fields, limits, &chat);
  read_tools(&fields, limits, &chat);
  read_template_fields(&fields, &chat);
  read_common_fields(&fields, limits, &request);
  read_max_tokens(&fields, &request.sampling);
  read_logprobs(&fields, &request);
  refuse_other_media(&fields);
  Object object;
  fields.read("mm_processor_kwargs", &object);
  fields.read("media_io_kwargs", &object);
  bool flag = true;
  fields.read("include_reasoning", &flag);
  for (const char* name : {"prediction", "verbosity"}) fields.ignore(name);
  if (fields.get("best_of") != nullptr) fields.fail("best_of", "It is not supported: use n");
  PAGODA_RETURN_IF_ERROR(fields.finish());
  request.prompt = std::move(chat);
  return request;
}

}  // namespace pagoda
