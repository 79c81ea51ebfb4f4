#include <fmt/format.h>

#include "openai/common_fields.h"

namespace pagoda {
namespace {

// What the template is called with anyway: the request's own fields hold, as in vLLM.
void settle_reserved(Fields* fields, ChatPrompt* chat) {
  Object& kwargs = chat->template_kwargs;
  for (const char* name : {"add_generation_prompt", "continue_final_message", "tokenize"}) kwargs.erase(name);
  for (const char* name : {"messages", "conversation"})
    if (kwargs.find(name) != nullptr)
      fields->fail(invalid_argument(fmt::format("chat_template_kwargs: {} can not be set here", name)));
  if (const Value* text = kwargs.find("chat_template")) {
    if (text->is_string())
      chat->chat_template = text->as_string();
    else if (!text->is_null())
      fields->fail(invalid_argument("chat_template_kwargs: chat_template should be a string"));
    kwargs.erase("chat_template");
  }
  if (Value* tools = kwargs.find("tools")) {
    if (tools->is_array())
      chat->tools = std::move(*tools);
    else if (!tools->is_null())
      fields->fail(invalid_argument("chat_template_kwargs: tools should be a list"));
    kwargs.erase("tools");
  }
}

Status judge_document(const Value& document, const std::string& where) {
  if (!document.is_object()) return type_error(where, "a valid dictionary", document);
  for (const Member& member : document.as_object())
    if (!member.value.is_string())
      return type_error(join_location(where, member.key.substr(0, kKeyBytes)), "a valid string",
                        member.value);
  return {};
}

}  // namespace

void read_template_fields(Fields* fields, ChatPrompt* chat) {
  fields->read("chat_template_kwargs", &chat->template_kwargs);
  settle_reserved(fields, chat);
  Array documents;
  fields->read("documents", &documents);
  for (std::size_t i = 0; i < documents.size() && fields->ok(); ++i)
    fields->fail(judge_document(documents[i], join_location("documents", i)));
  if (fields->has("documents")) chat->template_kwargs.set("documents", Value(std::move(documents)));
  std::string effort;
  fields->read_choice("reasoning_effort", &effort,
                      {"none", "minimal", "low", "medium", "high", "xhigh", "max"});
  if (!effort.empty()) {
    chat->template_kwargs.set("reasoning_effort", effort);
    // Some templates think only when told to.
    if (chat->template_kwargs.find("enable_thinking") == nullptr)
      chat->template_kwargs.set("enable_thinking", effort != "none");
  }
  fields->read("chat_template", &chat->chat_template);
  fields->never_null({"add_generation_prompt", "continue_final_message"});
  fields->read("add_generation_prompt", &chat->add_generation_prompt);
  fields->read("continue_final_message", &chat->continue_final_message);
  // Also when add_generation_prompt is only true by default: a turn is either continued or begun.
  if (chat->continue_final_message && chat->add_generation_prompt)
    fields->fail(
        invalid_argument("Cannot set both `continue_final_message` and `add_generation_prompt` to True."));
}

}  // namespace pagoda
