// Does a template read message.content as a list of parts? Found by following `messages`, each message and
// its content through assignments, loops and macro parameters; the template is not run.
#pragma once
#include "text/jinja_ast.h"

namespace pagoda::jinja {

bool reads_content_parts(const Program& program);

}  // namespace pagoda::jinja
