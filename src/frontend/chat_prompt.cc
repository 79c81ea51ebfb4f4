#include "frontend/chat_prompt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/excerpt.h"

namespace pagoda {
namespace {

constexpr std::size_t kNamesBytes = 1000;  // of templates in an error
constexpr std::string_view kSpace = " \t\n\r\f\v";
// Claude Code writes it as the first line of its system prompt with a value that changes with every request.
constexpr std::string_view kBillingHeader = "x-anthropic-billing-header";
// Stands behind the last message's text while it is rendered, where that is to be continued. The blank tells
// whether the template trims.
constexpr std::string_view kContinuesHere = "PAGODA_CONTINUES_FINAL_MESSAGE_HERE ";

bool has_role(const Object& message, std::string_view role) {
  const Value* found = message.find("role");
  return found != nullptr && found->is_string() && found->as_string() == role;
}

// The message's content as a list of parts: empty for null, and where there is none.
Array take_parts(Object* message) {
  Value* content = message->find("content");
  if (content == nullptr || content->is_null()) return {};
  if (content->is_array()) return std::move(content->as_array());
  Array parts;
  parts.push_back(text_part(std::move(content->as_string())));
  return parts;
}

// Drops the line from the texts that begin with it: no prefix of such a prompt would be found in the cache.
void drop_billing_header(Array* parts) {
  std::erase_if(*parts, [](Value& part) {
    std::string& text = text_of_part(&part);
    if (!is_text_part(part) || !text.starts_with(kBillingHeader)) return false;
    text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
    return text.empty();
  });
}

std::string joined(const Array& parts) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += '\n';
    out += text_of_part(parts[i]);
  }
  return out;
}

// What a template is given as content. kAsSent: several texts as a list of parts, one as a string.
enum class Shape { kString, kParts, kAsSent };

Shape shape_for(const ModelInfo& model, const ChatTemplate& used) {
  if (model.content_parts) return *model.content_parts ? Shape::kParts : Shape::kString;
  if (!used.wants_content_parts()) return Shape::kString;
  return used.takes_content_strings() ? Shape::kAsSent : Shape::kParts;
}

// What a tool answered is text for every template, as in vLLM: hardly any expects parts there. But a template
// that takes parts can tell of the tools that an answer refers to.
void shape_content(Object* message, Shape shape) {
  Array parts = take_parts(message);
  if (has_role(*message, "system")) drop_billing_header(&parts);
  // No parts are an empty text: templates that go over parts find none in it either, and those that take the
  // first one of a list take the text as it is.
  std::size_t list_from = shape == Shape::kParts ? 1 : 2;
  const bool refers = !std::all_of(parts.begin(), parts.end(), is_text_part);
  const bool is_list =
      shape != Shape::kString && (refers || (parts.size() >= list_from && !has_role(*message, "tool")));
  message->set("content", is_list ? Value(std::move(parts)) : Value(joined(parts)));
}

// For templates that know no developer: a system message, and one of them at the beginning, which is where
// templates look for it.
void turn_developers_into_system(Array* messages) {
  bool any = false;
  for (Value& message : *messages) {
    if (!has_role(message.as_object(), "developer")) continue;
    any = true;
    Object system;
    for (Member& member : message.as_object())
      if (member.key != "tools") system.append(member.key, std::move(member.value));
    system.set("role", "system");
    message = Value(std::move(system));
  }
  auto is_system = [](const Value& message) { return has_role(message.as_object(), "system"); };
  auto count = std::count_if(messages->begin(), messages->end(), is_system);
  if (!any || (count == 1 && is_system(messages->front()))) return;
  std::string text;
  for (const Value& message : *messages) {
    std::string one = is_system(message) ? flat_content(message) : std::string();
    if (!one.empty()) text += (text.empty() ? "" : "\n\n") + one;
  }
  std::erase_if(*messages, is_system);
  Object system;
  system.append("role", "system");
  system.append("content", std::move(text));
  messages->insert(messages->begin(), Value(std::move(system)));
}

void mark_final_text(Object* message, Shape shape) {
  Value* content = message->find("content");
  if (content->is_array())
    text_of_part(&content->as_array().back()) += kContinuesHere;
  else if (content->as_string().empty() && shape == Shape::kParts && !has_role(*message, "tool"))
    *content = Value(Array{text_part(std::string(kContinuesHere))});
  else
    content->as_string() += kContinuesHere;
}

Array messages_for_template(const ChatPrompt& chat, const ChatTemplate& used, Shape shape) {
  Array messages = chat.messages;
  for (Value& message : messages) shape_content(&message.as_object(), shape);
  if (!used.knows_developer_role()) turn_developers_into_system(&messages);
  if (chat.continue_final_message) mark_final_text(&messages.back().as_object(), shape);
  return messages;
}

Object template_context(const ModelInfo& model, const ChatPrompt& chat, Array messages) {
  Object context;
  context.set("bos_token", model.bos_token);
  context.set("eos_token", model.eos_token);
  context.set("documents", Value());
  for (const Member& member : model.default_template_kwargs) context.set(member.key, member.value);
  for (const Member& member : chat.template_kwargs) context.set(member.key, member.value);
  context.set("messages", std::move(messages));
  context.set("tools", chat.tools);
  context.set("add_generation_prompt", chat.add_generation_prompt);
  return context;
}

// The text that is continued: of several parts the last one's.
std::string final_text(const Value& message) {
  const Value* content = message.find("content");
  bool parts = content != nullptr && content->is_array() && !content->as_array().empty();
  return parts ? text_of_part(content->as_array().back()) : flat_content(message);
}

// Cuts what the template writes from the mark on, so that the model goes on with the text before it.
Result<std::string> cut_at_mark(std::string prompt, const std::string& text) {
  std::size_t end = text.find_last_not_of(kSpace) + 1;
  bool blank = end == 0;
  std::string_view core = std::string_view(text).substr(0, end);
  core.remove_prefix(blank ? 0 : core.find_first_not_of(kSpace));
  std::size_t at = prompt.rfind(kContinuesHere.substr(0, kContinuesHere.size() - 1));
  if (at == std::string::npos || prompt.find(core) == std::string::npos)
    return invalid_argument(
        "continue_final_message: the chat template does not show the last message as it is",
        "continue_final_message");
  bool trims = prompt.compare(at, kContinuesHere.size(), kContinuesHere) != 0;
  prompt.resize(at);
  // A template that trims would have dropped the blanks at the text's end, too.
  if (trims && !blank) prompt.resize(prompt.find_last_not_of(kSpace) + 1);
  return prompt;
}

Object without(const Object& context, std::string_view name) {
  Object rest;
  for (const Member& member : context)
    if (member.key != name) rest.set(member.key, member.value);
  return rest;
}

Status no_template(const ModelInfo& model) {
  const char* otherwise = "use /v1/completions";
  if (!model.chat_template_names.empty())
    return invalid_argument(fmt::format(
        "The model has several chat templates with no default: start the server with --chat-template and the "
        "name of the one to use, or {}. The names are: {}",
        otherwise, excerpt(fmt::format("'{}'", fmt::join(model.chat_template_names, "', '")), kNamesBytes)));
  return invalid_argument(
      fmt::format("The model has no chat template, so that it can not answer chats: start the server with "
                  "--chat-template, or {}",
                  otherwise));
}

Result<std::shared_ptr<const ChatTemplate>> choose_template(const ModelInfo& model, const ChatPrompt& chat) {
  const Value& own = chat.chat_template;
  if (!own.is_null() && !model.trust_request_chat_template)
    return invalid_argument(
        "Chat template is passed with request, but --trust-request-chat-template is not set. Refused request "
        "with untrusted chat template.");
  // "" and "auto" are the model's, as in vLLM.
  if (!own.is_null() && !(own == Value("")) && !(own == Value("auto"))) {
    if (!own.is_string())
      return invalid_argument(
          fmt::format("chat_template: it is of type {}, expected a string", own.type_name()));
    auto parsed = ChatTemplate::parse(own.as_string());
    if (!parsed.ok()) return invalid_argument("chat_template: " + parsed.status().message());
    return parsed;
  }
  auto used =
      !chat.tools.is_null() && model.tool_chat_template ? model.tool_chat_template : model.chat_template;
  if (used != nullptr) return used;
  return no_template(model);
}

}  // namespace

std::string flat_content(const Value& message) {
  const Value* content = message.find("content");
  if (content == nullptr || content->is_null()) return {};
  return content->is_string() ? content->as_string() : joined(content->as_array());
}

std::string answer_role(const ModelInfo& model, const ChatPrompt& chat) {
  if (chat.add_generation_prompt || chat.messages.empty()) return model.response_role;
  return chat.messages.back().find("role")->as_string();
}

std::string answer_role(const ModelInfo& model, const RequestPrompt& prompt) {
  const auto* chat = std::get_if<ChatPrompt>(&prompt);
  return chat == nullptr ? model.response_role : answer_role(model, *chat);
}

Result<std::string> render_chat_prompt(const ModelInfo& model, const ChatPrompt& chat, int64_t now) {
  PAGODA_TRY(std::shared_ptr<const ChatTemplate> used, choose_template(model, chat));
  Array messages = messages_for_template(chat, *used, shape_for(model, *used));
  Object context = template_context(model, chat, std::move(messages));
  Result<std::string> prompt = used->render(context, {now, ""});
  // Transformers passes tools as none where there are none. A template that was written for tools alone walks
  // them all the same, and does well without the variable.
  if (!prompt.ok() && chat.tools.is_null() && prompt.status().message().starts_with("TypeError"))
    prompt = used->render(without(context, "tools"), {now, ""});
  if (!prompt.ok())
    return invalid_argument("The chat template refused the request: " + prompt.status().message());
  if (!chat.continue_final_message) return prompt;
  return cut_at_mark(std::move(*prompt), final_text(chat.messages.back()));
}

}  // namespace pagoda
