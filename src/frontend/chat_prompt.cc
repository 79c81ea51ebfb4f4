#include "frontend/chat_prompt.h"

namespace pagoda {
namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

// Templates that know only strings see one; templates that iterate over parts see a list, as transformers'
// users pass it.
Array messages_for_template(const Array& messages, bool parts) {
  Array out = messages;
  for (Value& message : out) {
    Value* content = message.as_object().find("content");
    if (content == nullptr) continue;
    if (!parts && content->is_array()) {
      *content = Value(flat_content(message));
    } else if (parts && content->is_string()) {
      Object part;
      part.append("type", "text");
      part.append("text", std::move(content->as_string()));
      *content = Value(Array{Value(std::move(part))});
    }
  }
  return out;
}

Object template_context(const ModelInfo& model, const ChatPrompt& chat, bool parts) {
  Object context;
  context.set("bos_token", model.bos_token);
  context.set("eos_token", model.eos_token);
  context.set("documents", Value());
  for (const Member& member : model.default_template_kwargs) context.set(member.key, member.value);
  for (const Member& member : chat.template_kwargs) context.set(member.key, member.value);
  context.set("messages", messages_for_template(chat.messages, parts));
  context.set("tools", chat.tools);
  context.set("add_generation_prompt", chat.add_generation_prompt);
  return context;
}

// Cuts what the template writes after the last message, so that the model goes on with it.
Result<std::string> cut_after_final_message(std::string prompt, const Value& message) {
  std::string content = flat_content(message);
  std::size_t begin = content.find_first_not_of(kSpace);
  if (begin == std::string::npos)
    return invalid_argument("continue_final_message: the last message has no text to continue",
                            "continue_final_message");
  std::string text = content.substr(begin);
  std::size_t end = text.find_last_not_of(kSpace) + 1;
  std::size_t at = prompt.rfind(text.substr(0, end));
  if (at == std::string::npos)
    return invalid_argument(
        "continue_final_message: the chat template does not show the last message as it is",
        "continue_final_message");
  // Trailing space of the message stays where the template kept it.
  prompt.resize(at + (prompt.compare(at, text.size(), text) == 0 ? text.size() : end));
  return prompt;
}

}  // namespace

std::string flat_content(const Value& message) {
  const Value* content = message.find("content");
  if (content == nullptr || content->is_null()) return {};
  if (content->is_string()) return content->as_string();
  std::string out;
  for (const Value& part : content->as_array()) {
    if (!out.empty()) out += '\n';
    out += part.find("text")->as_string();
  }
  return out;
}

std::string answer_role(const ModelInfo& model, const ChatPrompt& chat) {
  if (chat.add_generation_prompt || chat.messages.empty()) return model.response_role;
  return chat.messages.back().find("role")->as_string();
}

Result<std::string> render_chat_prompt(const ModelInfo& model, const ChatPrompt& chat, int64_t now) {
  std::shared_ptr<const ChatTemplate> used =
      !chat.tools.is_null() && model.tool_chat_template ? model.tool_chat_template : model.chat_template;
  bool parts = model.content_parts;
  if (!chat.chat_template.empty()) {
    if (!model.trust_request_chat_template)
      return invalid_argument(
          "chat_template: the server takes no template from a request: start it with "
          "--trust-request-chat-template",
          "chat_template");
    auto parsed = ChatTemplate::parse(chat.chat_template);
    if (!parsed.ok()) return invalid_argument("chat_template: " + parsed.status().message(), "chat_template");
    used = *parsed;
    parts = used->wants_content_parts();
  }
  if (used == nullptr)
    return invalid_argument(
        "The model has no chat template, so that it can not answer chats: start the server with "
        "--chat-template, or use "
        "/v1/completions",
        "messages");
  Result<std::string> prompt = used->render(template_context(model, chat, parts), {now, ""});
  if (!prompt.ok())
    return invalid_argument("The chat template refused the request: " + prompt.status().message(),
                            "messages");
  if (!chat.continue_final_message) return prompt;
  return cut_after_final_message(std::move(*prompt), chat.messages.back());
}

}  // namespace pagoda
