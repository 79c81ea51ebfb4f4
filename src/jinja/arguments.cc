#include "jinja/arguments.h"

#include <algorithm>

#include "jinja/text.h"

namespace pagoda::jinja {

Bound::Bound(const char* function, Arguments& arguments, std::initializer_list<const char*> parameters,
             std::size_t required)
    : function_(function), values_(parameters.size(), nullptr) {
  std::string name = std::string(function) + "()";
  if (arguments.positional.size() > parameters.size())
    fail("TypeError", name + " takes at most " + std::to_string(parameters.size()) + " argument(s), " +
                          std::to_string(arguments.positional.size()) + " were given");
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [key, value] : arguments.named) {
    auto it = std::find(parameters.begin(), parameters.end(), key);
    if (it == parameters.end())
      fail("TypeError", name + " got an unexpected keyword argument " + quoted(key));
    const PyValue*& place = values_[static_cast<std::size_t>(it - parameters.begin())];
    if (place != nullptr) fail("TypeError", name + " got multiple values for argument " + quoted(key));
    place = &value;
  }
  for (std::size_t i = 0; i < required; ++i)
    if (values_[i] == nullptr)
      fail("TypeError", name + " missing 1 required positional argument: " + quoted(parameters.begin()[i]));
}

const PyValue& Bound::operator[](std::size_t i) const {
  static const PyValue kNone{};
  return values_[i] == nullptr ? kNone : *values_[i];
}

int64_t Bound::integer(std::size_t i, int64_t fallback) const {
  if (values_[i] == nullptr) return fallback;
  if (values_[i]->is_integral()) return values_[i]->as_int();
  require_defined(*values_[i]);
  fail("TypeError", quoted(type_name(*values_[i])) + " object cannot be interpreted as an integer");
}

bool Bound::truth(std::size_t i, bool fallback) const {
  return values_[i] == nullptr ? fallback : truthy(*values_[i]);
}

std::string Bound::string(std::size_t i, std::string fallback) const {
  if (values_[i] == nullptr) return fallback;
  if (values_[i]->is_string()) return values_[i]->text();
  require_defined(*values_[i]);
  fail("TypeError", std::string(function_) + "() argument must be str, not " + type_name(*values_[i]));
}

}  // namespace pagoda::jinja
