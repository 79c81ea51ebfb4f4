// Methods of strings, lists, tuples, dicts and numbers that a template may call.
#pragma once
#include "text/jinja_value.h"

namespace pagoda::jinja {

using Method = PyValue (*)(Interpreter& interpreter, const PyValue& self, Arguments& arguments);

// nullptr: the type has no method of that name, or none that the sandbox lets through.
Method find_method(const PyValue& self, std::string_view name);
// self.name as a value. Requires: find_method found it.
PyValue bind_method(const PyValue& self, std::string_view name);

}  // namespace pagoda::jinja
