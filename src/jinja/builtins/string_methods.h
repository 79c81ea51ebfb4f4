// The methods of str.
#pragma once
#include "jinja/builtins/methods.h"

namespace pagoda::jinja {

Method find_string_method(std::string_view name);
// Those that look for parts: split, find, replace, startswith and their kin.
Method find_string_search_method(std::string_view name);
void add_string_search_method_names(std::vector<std::string_view>* names);

}  // namespace pagoda::jinja
