#include "openai/common_fields.h"
#include "openai/request_rules.h"

namespace pagoda {
namespace {

void read_max_tokens(Fields* fields, SamplingFields* sampling) {
  fields->read("max_tokens", &sampling->max_tokens);
  fields->read("max_completion_tokens", &sampling->max_tokens);  // the newer name wins
  sampling->is_max_completion_tokens = fields->has("max_completion_tokens");
}

void read_logprobs(Fields* fields, ParsedRequest* request) {
  bool wanted = false;
  fields->read("logprobs", &wanted);
  std::optional<int64_t> top;
  fields->read("top_logprobs", &top);
  if (wanted) request->shape.num_logprobs = top.value_or(0);
  // As vLLM: also without logprobs, unless top_logprobs is null. Streams have no place for them.
  const bool null_top = fields->given("top_logprobs") && !fields->has("top_logprobs");
  if (request->shape.echo && !request->shape.stream && !request->shape.num_prompt_logprobs && !null_top)
    request->shape.num_prompt_logprobs = top.value_or(0);
}

// Answers are text.
void refuse_other_media(Fields* fields) {
  const char* why = "Only text can be generated";
  Array modalities;
  if (const Value* given = fields->get("modalities"); given != nullptr && given->is_array())
    modalities = given->as_array();
  for (const Value& item : modalities)
    if (!(item == Value("text")))
      fields->fail(
          invalid_argument(std::string("modalities: ") + why + ", " + describe_value(item), "modalities"));
  fields->refuse("audio", why);
  fields->refuse("web_search_options", "The server can not search the web");
  refuse_media_settings(fields);
}

void read_chat_only(Fields* fields, const ParsedRequest& request) {
  fields->never_null({"echo", "include_reasoning"});
  bool flag = true;
  fields->read("include_reasoning", &flag);
  bool prompt_text = false;
  fields->read("return_prompt_text", &prompt_text);
  if (prompt_text)
    fields->fail(
        invalid_argument("return_prompt_text: It is not supported: /tokenize shows the prompt's tokens",
                         "return_prompt_text"));
  refuse_best_of(fields, request.shape.n);
  for (const char* name : {"prediction", "verbosity"}) fields->ignore(name);
}

}  // namespace

Result<ParsedRequest> parse_chat_request(std::string_view body, const RequestLimits& limits,
                                         MemoryShare* memory) {
  JsonMeter meter{.memory = memory};
  PAGODA_TRY(Value root, parse_body(body, &meter));
  Fields fields(&root.as_object());
  return read_chat_request(&fields, limits, &meter);
}

Result<ParsedRequest> read_chat_request(Fields* fields, const RequestLimits& limits, JsonMeter* meter) {
  check_chat_rules(fields);
  ParsedRequest request;
  request.generate.add_special_tokens = false;
  ChatPrompt chat;
  read_messages(fields, limits, meter, &chat);
  read_common_fields(fields, limits, &request);
  read_max_tokens(fields, &request.generate.sampling);
  read_logprobs(fields, &request);
  read_chat_only(fields, request);
  refuse_other_media(fields);
  read_tools(fields, limits, &chat);
  read_template_fields(fields, &chat);
  fields->fail(check_ranges(request, limits.n_max, 1));
  PAGODA_RETURN_IF_ERROR(fields->finish());
  request.generate.prompt = std::move(chat);
  request.generate.prompt_field = "messages";
  return request;
}

}  // namespace pagoda
