#include "jinja/chat_template.h"

#include <new>

#include "base/excerpt.h"
#include "jinja/content.h"
#include "jinja/eval.h"
#include "jinja/parser.h"

namespace pagoda {
namespace {

constexpr std::size_t kMessageCharsMax = 4096;  // it may quote what a request holds

Status to_status(const jinja::Fault& fault, const std::string& where) {
  std::string message = fault.kind + ": " + excerpt(fault.message, kMessageCharsMax);
  if (fault.line > 0) message += " (" + where + "line " + std::to_string(fault.line) + ")";
  return invalid_argument(std::move(message));
}

class JinjaTemplate : public ChatTemplate {
 public:
  JinjaTemplate(std::string_view source, const TemplateLimits& limits)
      : program_(jinja::parse_program(source)),
        limits_(limits),
        content_(jinja::content_use(program_)),
        knows_developer_(source.find("'developer'") != source.npos ||
                         source.find("\"developer\"") != source.npos) {}

  Result<std::string> render(const Object& context, const TemplateClock& clock) const override {
    try {
      jinja::Interpreter interpreter(program_, limits_, context, clock);
      return interpreter.run();
    } catch (const jinja::Fault& fault) {
      // What the template itself raises is a message to the caller: no line, as in Python.
      if (fault.kind == "TemplateError")
        return invalid_argument(fault.kind + ": " + excerpt(fault.message, kMessageCharsMax));
      return to_status(fault, "chat template ");
    } catch (const std::bad_alloc&) {
      return invalid_argument("LimitError: the chat template needs more memory than there is");
    }
  }

  bool wants_content_parts() const override { return content_.parts; }
  bool takes_content_strings() const override { return content_.strings; }
  bool knows_developer_role() const override { return knows_developer_; }

 private:
  const jinja::Program program_;
  const TemplateLimits limits_;
  const jinja::ContentUse content_;
  const bool knows_developer_;
};

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::parse(std::string_view source,
                                                                const TemplateLimits& limits) {
  try {
    return std::shared_ptr<const ChatTemplate>(std::make_shared<JinjaTemplate>(source, limits));
  } catch (const jinja::Fault& fault) {
    return to_status(fault, "chat template ");
  } catch (const std::bad_alloc&) {
    return invalid_argument("LimitError: the chat template needs more memory than there is");
  }
}

}  // namespace pagoda
