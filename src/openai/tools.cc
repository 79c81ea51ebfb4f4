#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "openai/request_fields.h"

namespace pagoda {
namespace {

constexpr std::size_t kToolsMax = 4096;

constexpr char kUsage[] = R"(Correct usage: `{"type": "function", "function": {"name": "my_function"}}`)";
constexpr char kNotParsed[] = " (this server does not parse tool calls yet: send tool_choice \"none\")";

// A member of the schema, as vLLM shows it to templates where it was not sent (or is null).
struct Shown {
  const char* name;
  bool as_null;  // or not at all
};
constexpr Shown kFunctionMembers[] = {
    {"name", true}, {"description", true}, {"parameters", true}, {"strict", false}, {"defer_loading", false}};
constexpr Shown kToolMembers[] = {{"type", true}, {"function", true}, {"defer_loading", false}};

// The members that templates see: those that were sent, in the order they were sent in, which is what a model
// was trained on where its client knows; each followed by those that come next in the schema, are shown and
// were not sent.
Object shown_members(Object* sent, std::span<const Shown> members) {
  Object out;
  for (Member& member : *sent) {
    auto found = std::find_if(members.begin(), members.end(),
                              [&](const Shown& known) { return member.key == known.name; });
    if (found == members.end() || (member.value.is_null() && !found->as_null)) continue;
    out.append(member.key, std::move(member.value));
    while (++found != members.end() && found->as_null && sent->find(found->name) == nullptr)
      out.append(found->name, Value());
  }
  return out;
}

// What is to be loaded later says so in its function, too.
void fill_in_tool(Object* tool) {
  Object& function = tool->find("function")->as_object();
  const Value *defer = tool->find("defer_loading"), *own = function.find("defer_loading");
  if (defer != nullptr && !defer->is_null() && (own == nullptr || own->is_null()))
    function.set("defer_loading", *defer);
  function = shown_members(&function, kFunctionMembers);
  Object filled;
  if (tool->find("type") == nullptr) filled.append("type", "function");
  for (Member& member : shown_members(tool, kToolMembers))
    filled.append(std::move(member.key), std::move(member.value));
  *tool = std::move(filled);
}

// Takes the place of what was sent: "true" is true.
void settle_bool(Fields* fields, const char* name, Object* object) {
  bool flag = false;
  fields->read(name, &flag);
  if (fields->has(name)) object->set(name, flag);
}

Status check_function(Value* function, const std::string& where) {
  if (function == nullptr) return field_error(where, "Field required");
  if (!function->is_object()) return type_error(where, "a valid dictionary", *function);
  Fields fields(&function->as_object(), where);
  std::string text;
  fields.never_null({"name"});
  fields.read("name", &text);
  if (!fields.has("name")) fields.fail("name", "Field required");
  fields.read("description", &text);
  if (const Value* parameters = fields.get("parameters"); parameters != nullptr && !parameters->is_object())
    fields.fail(type_error(join_location(where, "parameters"), "a valid dictionary", *parameters));
  for (const char* name : {"strict", "defer_loading"}) settle_bool(&fields, name, &function->as_object());
  return fields.finish();
}

Status check_tool(Value* tool, const std::string& where) {
  if (!tool->is_object()) return type_error(where, "a valid dictionary", *tool);
  Fields fields(&tool->as_object(), where);
  fields.never_null({"type"});
  std::string type;
  fields.read_choice("type", &type, {"function"});
  settle_bool(&fields, "defer_loading", &tool->as_object());
  fields.fail(check_function(tool->as_object().find("function"), join_location(where, "function")));
  return fields.finish();
}

// A tool to be called by name must be there.
Status check_named_choice(const Value& choice, const Value& tools) {
  const Value* function = choice.find("function");
  if (function == nullptr || !function->is_object())
    return invalid_argument(fmt::format("Invalid value for `function` in `tool_choice`! {}", kUsage),
                            "tool_choice.function");
  const Value* name = function->find("name");
  if (name == nullptr || !name->is_string() || name->as_string().empty())
    return invalid_argument(fmt::format("Expected a `name` in `function` in `tool_choice`! {}", kUsage),
                            "tool_choice.function.name");
  if (tools.is_array())
    for (const Value& tool : tools.as_array())
      if (const Value* known = tool.find("function");
          known != nullptr && known->find("name") != nullptr && *known->find("name") == *name)
        return {};
  return invalid_argument("The tool specified in `tool_choice` does not match any of the specified `tools`",
                          "tool_choice");
}

}  // namespace

void check_tool_rules(Fields* fields) {
  const Value* tools = fields->get("tools");
  if (tools != nullptr && tools->is_array() && tools->as_array().empty())
    return fields->fail(invalid_argument(
        "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely.",
        "tools"));
  const Value* choice = fields->get("tool_choice");
  if (choice == nullptr || *choice == Value("none")) return;
  if (tools == nullptr)
    return fields->fail(invalid_argument("When using `tool_choice`, `tools` must be set.", "tool_choice"));
  if (choice->is_object()) return fields->fail(check_named_choice(*choice, *tools));
  if (!(*choice == Value("auto")) && !(*choice == Value("required")))
    fields->fail(
        invalid_argument("Invalid value for `tool_choice`: Only named tools, \"none\", \"auto\" or "
                         "\"required\" are supported, " +
                             describe_value(*choice),
                         "tool_choice"));
}

void read_tool_list(Fields* fields, ChatPrompt* chat) {
  Array tools;
  fields->read("tools", &tools);
  if (tools.size() > kToolsMax)
    return fields->fail("tools",
                        fmt::format("List should have at most {} items, got {}", kToolsMax, tools.size()));
  for (std::size_t i = 0; i < tools.size() && fields->ok(); ++i)
    fields->fail(check_tool(&tools[i], join_location("tools", i)));
  if (!fields->ok() || !fields->has("tools")) return;
  for (Value& tool : tools) fill_in_tool(&tool.as_object());
  chat->tools = Value(std::move(tools));
}

void read_tools(Fields* fields, const RequestLimits& limits, ChatPrompt* chat) {
  const Value* choice = fields->get("tool_choice");
  // Tools without a choice are to be used; an explicit null leaves them to the template alone.
  const bool chosen = fields->given("tool_choice");
  const bool wants_calls = choice != nullptr ? !(*choice == Value("none")) : !chosen && fields->has("tools");
  std::string named;
  if (choice != nullptr && choice->is_object()) named = choice->find("function")->find("name")->as_string();
  const std::string text = choice != nullptr && choice->is_string() ? choice->as_string() : "auto";
  read_tool_list(fields, chat);
  bool parallel = true;
  fields->read("parallel_tool_calls", &parallel);
  fields->refuse("functions", "It is not supported: use tools and tool_choice");
  if (const Value* call = fields->get("function_call");
      call != nullptr && !(*call == Value("none")) && !(*call == Value("auto")))
    fields->refuse("function_call", "It is not supported: use tools and tool_choice");
  if (wants_calls && !named.empty())
    fields->fail(
        invalid_argument(fmt::format("tool_choice=function \"{}\" requires --tool-call-parser to be set{}",
                                     named.substr(0, 100), kNotParsed)));
  if (wants_calls && text == "required")
    fields->fail(invalid_argument(
        fmt::format("tool_choice=\"required\" requires --tool-call-parser to be set{}", kNotParsed)));
  if (wants_calls)
    fields->fail(invalid_argument(fmt::format(
        "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set{}",
        kNotParsed)));
  if (text == "none" && limits.exclude_tools_when_tool_choice_none) chat->tools = Value();
}

}  // namespace pagoda
