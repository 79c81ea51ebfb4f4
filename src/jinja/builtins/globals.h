// The functions that every chat template may call.
#pragma once
#include <string_view>

#include "jinja/value.h"

namespace pagoda::jinja {

// range, namespace, dict, cycler, joiner, raise_exception, strftime_now; false if there is no such global.
bool find_global(std::string_view name, PyValue* value);

}  // namespace pagoda::jinja
