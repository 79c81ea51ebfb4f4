// Methods of strings, lists, tuples, dicts and numbers that a template may call.
#pragma once
#include "jinja/operation.h"

namespace pagoda::jinja {

using Method = Operation<PyValue>;

// nullptr: the type has no method of that name, or none that the sandbox lets through.
Method find_method(const PyValue& self, std::string_view name);
std::vector<std::string_view> string_method_names();
// self.name as a value. Requires: find_method found it.
PyValue bind_method(const PyValue& self, std::string_view name);

}  // namespace pagoda::jinja
