#include <fmt/format.h>

#include "openai/request_fields.h"

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
  if (const Value* given = fields->get("modalities"); given != nullptr && given->is_array())
    for (const Value& item : given->as_array())
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

// As in vLLM, null and "auto" say of any variable that it is not set.
void drop_unset(Object* kwargs) {
  Object set;
  for (Member& member : *kwargs)
    if (!member.value.is_null() && !(member.value == Value("auto")))
      set.append(std::move(member.key), std::move(member.value));
  *kwargs = std::move(set);
}

// What the template is called with anyway: the request's own fields hold, as in vLLM.
void settle_reserved(Fields* fields, ChatPrompt* chat) {
  Object& kwargs = chat->template_kwargs;
  for (const char* name : {"add_generation_prompt", "continue_final_message", "tokenize"}) kwargs.erase(name);
  for (const char* name : {"messages", "conversation"})
    if (kwargs.find(name) != nullptr)
      fields->fail(invalid_argument(fmt::format("chat_template_kwargs: {} can not be set here", name)));
  if (Value* tools = kwargs.find("tools")) {
    if (tools->is_array())
      chat->tools = std::move(*tools);
    else
      fields->fail(invalid_argument("chat_template_kwargs: tools should be a list"));
    kwargs.erase("tools");
  }
}

Status check_document(const Value& document, const std::string& where) {
  if (!document.is_object()) return type_error(where, "a valid dictionary", document);
  for (const Member& member : document.as_object())
    if (!member.value.is_string())
      return type_error(join_location(where, member.key.substr(0, kKeyBytes)), "a valid string",
                        member.value);
  return {};
}

Status check_media(const char* name, const Value& media, bool by_kind) {
  if (!media.is_object()) return type_error(name, "a valid dictionary", media);
  if (by_kind)
    for (const Member& member : media.as_object())
      if (!member.value.is_object())
        return type_error(join_location(name, member.key.substr(0, kKeyBytes)), "a valid dictionary",
                          member.value);
  if (media.as_object().empty()) return {};
  return invalid_argument(std::string(name) + ": The model reads text alone", name);
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

void refuse_media_settings(Fields* fields) {
  for (const char* name : {"media_io_kwargs", "mm_processor_kwargs"})
    if (const Value* media = fields->get(name))
      fields->fail(check_media(name, *media, /*by_kind=*/name == std::string_view("media_io_kwargs")));
}

void read_template_fields(Fields* fields, ChatPrompt* chat) {
  Object& kwargs = chat->template_kwargs;
  fields->read("chat_template_kwargs", &kwargs);
  if (Value* own = kwargs.find("chat_template")) {
    chat->chat_template = std::move(*own);
    kwargs.erase("chat_template");
  }
  const bool chose_thinking = kwargs.find("enable_thinking") != nullptr;
  drop_unset(&kwargs);
  settle_reserved(fields, chat);
  Array documents;
  fields->read("documents", &documents);
  for (std::size_t i = 0; i < documents.size() && fields->ok(); ++i)
    fields->fail(check_document(documents[i], join_location("documents", i)));
  if (fields->has("documents")) kwargs.set("documents", Value(std::move(documents)));
  std::string effort;
  fields->read_choice("reasoning_effort", &effort,
                      {"none", "minimal", "low", "medium", "high", "xhigh", "max"});
  if (!effort.empty()) {
    kwargs.set("reasoning_effort", effort);
    // Some templates think only when told to.
    if (!chose_thinking) kwargs.set("enable_thinking", effort != "none");
  }
  std::string own;
  fields->read("chat_template", &own);
  if (!own.empty() || (fields->has("chat_template") && chat->chat_template.is_null()))
    chat->chat_template = std::move(own);
  fields->never_null({"add_generation_prompt", "continue_final_message"});
  fields->read("add_generation_prompt", &chat->add_generation_prompt);
  fields->read("continue_final_message", &chat->continue_final_message);
  // Also when add_generation_prompt is only true by default: a turn is either continued or begun.
  if (chat->continue_final_message && chat->add_generation_prompt)
    fields->fail(
        invalid_argument("Cannot set both `continue_final_message` and `add_generation_prompt` to True."));
}

}  // namespace pagoda
