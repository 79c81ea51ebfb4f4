// What a template makes of message.content, found by following `messages`, each message and its content
// through assignments, loops and macro parameters; the template is not run.
#pragma once
#include "jinja/ast.h"

namespace pagoda::jinja {

struct ContentUse {
  // It wants a list of parts: it loops over content (vLLM's rule), or takes parts in some other way and never
  // asks whether the content is a string.
  bool parts = false;
  bool strings = false;  // it asks whether the content is a string
};
ContentUse content_use(const Program& program);

}  // namespace pagoda::jinja
