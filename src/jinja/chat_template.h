// Chat templates: Jinja in the dialect and environment that Hugging Face transformers uses (trim_blocks,
// lstrip_blocks, loop controls, the transparent `generation` block, tojson, raise_exception, strftime_now). A
// template is hostile input: steps, depth and output are bounded. Immutable after parsing and safe to use
// from any thread.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/value.h"
#include "jinja/limits.h"

namespace pagoda {

class ChatTemplate {
 public:
  // Error kInvalidArgument with the line of the template. Costs O(n); ends soon once the work is cancelled.
  static Result<std::shared_ptr<const ChatTemplate>> parse(std::string_view source,
                                                           const TemplateLimits& limits = {});
  virtual ~ChatTemplate() = default;
  // `context`: messages, tools, add_generation_prompt, bos_token, eos_token and any other variable. Errors
  // kInvalidArgument: "TemplateError: text of raise_exception", "UndefinedError: ...", "TypeError: ...",
  // "SecurityError: ...", or the limit that was hit. Once the work is cancelled (base/cancel.h) it ends soon.
  virtual Result<std::string> render(const Object& context, const TemplateClock& clock) const = 0;
  // True if the template itself iterates over message.content (the "openai" content format: a list of parts),
  // so that content parts should not be flattened to a string first.
  virtual bool wants_content_parts() const = 0;
  // True if it also asks whether message.content is a string, so that one may stay what it is.
  virtual bool takes_content_strings() const = 0;
  // True if the template speaks of a "developer" role.
  virtual bool knows_developer_role() const = 0;
};

}  // namespace pagoda
