#include <fmt/format.h>

#include <optional>

#include "base/json.h"
#include "openai/request_fields.h"

namespace pagoda {
namespace {

// Where the text of a part of this type is; nullptr: not a part of text.
const char* text_member(std::string_view type) {
  if (type == "text" || type == "input_text" || type == "output_text") return "text";
  if (type == "refusal") return "refusal";
  return type == "thinking" ? "thinking" : nullptr;
}

// What was thought may also be a list of texts, and is then one.
Status join_thoughts(Value* thoughts, const std::string& where) {
  std::string joined;
  for (std::size_t i = 0; i < thoughts->as_array().size(); ++i) {
    const Value& thought = thoughts->as_array()[i];
    const Value* text = thought.is_string() ? &thought : thought.find("text");
    if (text == nullptr || !text->is_string())
      return field_error(join_location(where, i), "Input should be a text part, " + describe_value(thought));
    joined += (i > 0 ? "\n" : "") + text->as_string();
  }
  *thoughts = Value(std::move(joined));
  return {};
}

// One content part as a ChatPrompt has it; nothing where its text is null, as agents send it.
Result<std::optional<Value>> parse_part(Value* part, const std::string& where) {
  using Part = std::optional<Value>;
  if (part->is_string()) return Part(text_part(std::move(part->as_string())));
  if (!part->is_object())
    return field_error(where, "Input should be a content part (an object), " + describe_value(*part));
  const Value* type = part->find("type");
  if (type == nullptr) return field_error(join_location(where, "type"), "Field required");
  if (!type->is_string())
    return field_error(join_location(where, "type"),
                       "Input should be a valid string, " + describe_value(*type));
  const bool refers = type->as_string() == "tool_reference";
  const char* member = refers ? "name" : text_member(type->as_string());
  if (member == nullptr)
    return field_error(where, fmt::format("Only text parts are supported: the model reads text alone, {}",
                                          describe_value(*type)));
  Value* text = part->as_object().find(member);
  if (text == nullptr || text->is_null()) return Part();
  if (type->as_string() == "thinking" && text->is_array())
    PAGODA_RETURN_IF_ERROR(join_thoughts(text, join_location(where, member)));
  if (!text->is_string())
    return field_error(join_location(where, member),
                       "Input should be a valid string, " + describe_value(*text));
  std::string& said = text->as_string();
  return Part(refers ? tool_reference_part(std::move(said)) : text_part(std::move(said)));
}

Status check_content(Value* content, const std::string& where) {
  if (content->is_null() || content->is_string()) return {};
  if (!content->is_array())
    return field_error(where,
                       "Input should be a string or a list of content parts, " + describe_value(*content));
  Array parts;
  for (std::size_t i = 0; i < content->as_array().size(); ++i) {
    PAGODA_TRY(std::optional<Value> part, parse_part(&content->as_array()[i], join_location(where, i)));
    if (part) parts.push_back(std::move(*part));
  }
  *content = Value(std::move(parts));
  return {};
}

// Arguments travel as JSON text; templates want the object. What a model once wrote stays in the history:
// where it is not the JSON of an object, refusing it would refuse all turns to come, so that it counts as
// empty.
Status read_arguments(Value* arguments, JsonMeter* meter, const std::string& where) {
  if (arguments->is_string()) {
    Result<Value> parsed = parse_json(arguments->as_string(), {.meter = meter});
    if (!parsed.ok() && parsed.status().code() != StatusCode::kInvalidArgument) return parsed.status();
    if (meter->values > kJsonValuesMax)
      return field_error(where, fmt::format("The request's JSON, with that in its strings, has more than {} "
                                            "values",
                                            kJsonValuesMax));
    *arguments = parsed.ok() ? std::move(*parsed) : Value();
  }
  if (!arguments->is_object()) *arguments = Value(Object());
  return {};
}

Status check_tool_call(Value* call, JsonMeter* meter, const std::string& where) {
  if (!call->is_object())
    return field_error(where, "Input should be a valid object, " + describe_value(*call));
  Value* function = call->as_object().find("function");
  std::string inner = join_location(where, "function");
  if (function == nullptr) return field_error(inner, "Field required");
  if (!function->is_object())
    return field_error(inner, "Input should be a valid object, " + describe_value(*function));
  const Value* name = function->find("name");
  if (name == nullptr) return field_error(join_location(inner, "name"), "Field required");
  if (!name->is_string())
    return field_error(join_location(inner, "name"),
                       "Input should be a valid string, " + describe_value(*name));
  Value* arguments = function->as_object().find("arguments");
  if (arguments == nullptr) arguments = &function->as_object().set("arguments", Value(Object()));
  return read_arguments(arguments, meter, join_location(inner, "arguments"));
}

Status check_tool_calls(Value* calls, JsonMeter* meter, const std::string& where) {
  if (!calls->is_array())
    return field_error(where, "Input should be a valid list, " + describe_value(*calls));
  for (std::size_t i = 0; i < calls->as_array().size(); ++i)
    PAGODA_RETURN_IF_ERROR(check_tool_call(&calls->as_array()[i], meter, join_location(where, i)));
  return {};
}

// Any role: which there are the template decides.
void read_role(Fields* fields, Object* out) {
  std::string role;
  fields->read("role", &role);
  if (!fields->has("role")) return fields->fail("role", "Field required");
  out->append("role", std::move(role));
}

// Of OpenAI's roles each has its own members, and what it does not have is not looked at, whatever it is;
// other roles may have all of them.
struct RoleMembers {
  explicit RoleMembers(std::string_view role)
      : is_assistant(role == "assistant"),
        is_developer(role == "developer"),
        is_tool(role == "tool"),
        is_other(!is_assistant && !is_developer && !is_tool && role != "system" && role != "user" &&
                 role != "function") {}
  bool is_assistant, is_developer, is_tool, is_other;
};

// What an assistant thought, by either name: for the template to choose from. Null: nothing.
Value take_reasoning(Fields* fields, const RoleMembers& role) {
  for (const char* name : {"reasoning", "reasoning_content"}) {
    std::string text;
    if (role.is_other) fields->read(name, &text);
    if (Value* value = fields->get(name); value != nullptr && role.is_assistant) return std::move(*value);
  }
  return {};
}

// Read of roles that may have it; of the others it is taken where it is a string, and else not looked at.
void take_string(Fields* fields, const char* name, bool checked, Object* out) {
  const Value* value = fields->get(name);
  if (value == nullptr || (!checked && !value->is_string())) return;
  std::string text;
  fields->read(name, &text);
  out->append(name, std::move(text));
}

// An object without members is as good as no calls: clients that serialize an empty table send it.
void take_calls(Fields* fields, const RoleMembers& role, JsonMeter* meter, const std::string& where,
                Object* out) {
  Value* calls = fields->get("tool_calls");
  if (calls == nullptr || !(role.is_assistant || role.is_other)) return;
  if (role.is_assistant && calls->is_object() && calls->as_object().empty()) return;
  fields->fail(check_tool_calls(calls, meter, join_location(where, "tool_calls")));
  if (fields->ok() && role.is_assistant && !calls->as_array().empty())
    out->append("tool_calls", std::move(*calls));
}

// null where there are none.
Value take_developer_tools(Fields* fields) {
  const Value* tools = fields->get("tools");
  return tools != nullptr && tools->is_array() ? *tools : Value();
}

Result<Value> parse_message(Value* message, JsonMeter* meter, const std::string& where) {
  if (!message->is_object())
    return field_error(where, "Input should be a valid object, " + describe_value(*message));
  Fields fields(&message->as_object(), where);
  Object out;
  read_role(&fields, &out);
  if (!fields.ok()) return fields.finish();
  const RoleMembers role(out.find("role")->as_string());
  if (Value* content = fields.get("content")) {
    PAGODA_RETURN_IF_ERROR(check_content(content, join_location(where, "content")));
    out.append("content", std::move(*content));
  } else {
    out.append("content", Value());
  }
  take_calls(&fields, role, meter, where, &out);
  if (Value reasoning = take_reasoning(&fields, role); !reasoning.is_null()) {
    out.append("reasoning", reasoning);
    out.append("reasoning_content", std::move(reasoning));
  }
  std::string id;
  if (role.is_other) fields.read("tool_call_id", &id);
  if (role.is_tool) take_string(&fields, "tool_call_id", /*checked=*/true, &out);
  take_string(&fields, "name", /*checked=*/!role.is_tool, &out);
  take_string(&fields, "task", /*checked=*/role.is_other, &out);
  if (role.is_developer) out.append("tools", take_developer_tools(&fields));
  for (const char* name : {"refusal", "audio", "annotations", "function_call"}) fields.ignore(name);
  PAGODA_RETURN_IF_ERROR(fields.finish());
  return Value(std::move(out));
}

}  // namespace

void read_messages(Fields* fields, const RequestLimits& limits, JsonMeter* meter, ChatPrompt* chat) {
  if (!fields->has("messages")) return fields->fail("messages", "Field required");
  fields->read("messages", &chat->messages);
  if (!fields->ok()) return;
  if (chat->messages.empty())
    return fields->fail(invalid_argument("messages: a conversation has at least one message"));
  if (chat->messages.size() > limits.messages_max)
    return fields->fail("messages", fmt::format("List should have at most {} items, got {}",
                                                limits.messages_max, chat->messages.size()));
  for (std::size_t i = 0; i < chat->messages.size(); ++i) {
    Result<Value> message = parse_message(&chat->messages[i], meter, join_location("messages", i));
    if (!message.ok()) return fields->fail(message.status());
    chat->messages[i] = std::move(*message);
  }
}

}  // namespace pagoda
