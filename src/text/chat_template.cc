#include "text/chat_template.h"

#include <new>

#include "text/jinja_content.h"
#include "text/jinja_eval.h"
#include "text/jinja_parser.h"

namespace pagoda {
namespace {

Status to_status(const jinja::Fault& fault, const std::string& where) {
  std::string message = fault.kind + ": " + fault.message;
  if (fault.line > 0) message += " (" + where + "line " + std::to_string(fault.line) + ")";
  return invalid_argument(std::move(message));
}

class JinjaTemplate : public ChatTemplate {
 public:
  JinjaTemplate(jinja::Program program, const TemplateLimits& limits)
      : program_(std::move(program)), limits_(limits), wants_parts_(jinja::reads_content_parts(program_)) {}

  Result<std::string> render(const Object& context, const TemplateClock& clock) const override {
    try {
      jinja::Interpreter interpreter(program_, limits_, context, clock);
      return interpreter.run();
    } catch (const jinja::Fault& fault) {
      // What the template itself raises is a message to the caller: no line, as in Python.
      return fault.kind == "TemplateError" ? invalid_argument(fault.kind + ": " + fault.message)
                                           : to_status(fault, "chat template ");
    } catch (const std::bad_alloc&) {
      return invalid_argument("LimitError: the chat template needs more memory than there is");
    }
  }

  bool wants_content_parts() const override { return wants_parts_; }

 private:
  const jinja::Program program_;
  const TemplateLimits limits_;
  const bool wants_parts_;
};

std::string names_of(const Array& templates) {
  std::string names;
  for (const Value& entry : templates)
    if (const Value* name = entry.find("name"); name != nullptr && name->is_string())
      names += (names.empty() ? "'" : ", '") + name->as_string() + "'";
  return names;
}

const std::string* find_named(const Array& templates, std::string_view wanted) {
  for (const Value& entry : templates) {
    const Value *name = entry.find("name"), *text = entry.find("template");
    bool usable = name != nullptr && name->is_string() && text != nullptr && text->is_string();
    if (usable && name->as_string() == wanted) return &text->as_string();
  }
  return nullptr;
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::parse(std::string_view source,
                                                                const TemplateLimits& limits) {
  try {
    return std::shared_ptr<const ChatTemplate>(
        std::make_shared<JinjaTemplate>(jinja::parse_program(source), limits));
  } catch (const jinja::Fault& fault) {
    return to_status(fault, "chat template ");
  } catch (const std::bad_alloc&) {
    return invalid_argument("LimitError: the chat template needs more memory than there is");
  }
}

Result<std::string> select_chat_template(const Value& tokenizer_config, std::string_view name,
                                         bool has_tools) {
  const Value* field = tokenizer_config.find("chat_template");
  if (field == nullptr || field->is_null())
    return not_found("the tokenizer has no chat template; give one with --chat-template", "chat_template");
  if (field->is_string()) {
    if (name.empty() || name == "default") return field->as_string();
    return not_found("the tokenizer has one chat template only, none is named '" + std::string(name) + "'",
                     "chat_template");
  }
  if (!field->is_array())
    return invalid_argument(std::string("chat_template of tokenizer_config.json is of type ") +
                                field->type_name() + ", expected a string or a list of {name, template}",
                            "chat_template");
  const Array& templates = field->as_array();
  const std::string* found = nullptr;
  if (!name.empty()) {
    found = find_named(templates, name);
  } else {
    if (has_tools) found = find_named(templates, "tool_use");
    if (found == nullptr) found = find_named(templates, "default");
  }
  if (found != nullptr) return *found;
  std::string wanted = name.empty() ? "default" : std::string(name);
  return not_found(
      "the tokenizer has no chat template named '" + wanted + "'; there are: " + names_of(templates),
      "chat_template");
}

}  // namespace pagoda
