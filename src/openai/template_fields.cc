#include <fmt/format.h>

#include "openai/common_fields.h"

namespace pagoda {
namespace {

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
