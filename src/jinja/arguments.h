// How builtins take their arguments.
#pragma once
#include <initializer_list>
#include <string>
#include <vector>

#include "jinja/value.h"

namespace pagoda::jinja {

// A call's arguments in the order of the function's parameters. Fault TypeError for too many, unknown,
// doubled or (the first `required`) missing ones.
class Bound {
 public:
  Bound(const char* function, Arguments& arguments, std::initializer_list<const char*> parameters,
        std::size_t required = 0);
  bool has(std::size_t i) const { return values_[i] != nullptr; }
  // None if it was not given.
  const PyValue& operator[](std::size_t i) const;
  int64_t integer(std::size_t i, int64_t fallback) const;
  bool truth(std::size_t i, bool fallback) const;
  // Fault TypeError if it is given and is not a string.
  std::string string(std::size_t i, std::string fallback) const;

 private:
  const char* function_;
  std::vector<const PyValue*> values_;
};

}  // namespace pagoda::jinja
