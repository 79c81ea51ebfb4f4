// Methods of strings, lists, tuples, dicts and numbers that a template may call.
#pragma once
#include <string_view>

#include "jinja/builtins/registry.h"
#include "jinja/operation.h"

namespace pagoda::jinja {

// nullptr: the type has no method of that name, or none that the sandbox lets through.
Method find_method(const PyValue& self, std::string_view name);
// Those of str.
const Registry<Method>& string_methods();
// The part of them that looks for parts: split, find, replace, startswith and their kin.
Registry<Method>::Part string_search_methods();
// self.name as a value. Requires: find_method found it.
PyValue bind_method(const PyValue& self, std::string_view name);

}  // namespace pagoda::jinja
