// Filters and tests by name, and how they take their arguments.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "jinja/operation.h"

namespace pagoda::jinja {

using Filter = Operation<PyValue>;
using Test = Operation<bool>;

// nullptr: there is none of that name.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);
Filter find_text_filter(std::string_view name);
Filter find_sequence_filter(std::string_view name);
Filter find_lazy_filter(std::string_view name);
// All of their names.
std::vector<std::string_view> filter_names();
std::vector<std::string_view> test_names();
void add_text_filter_names(std::vector<std::string_view>* names);
void add_sequence_filter_names(std::vector<std::string_view>* names);
void add_lazy_filter_names(std::vector<std::string_view>* names);

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

// The value as a string, as soft_str of markupsafe: str(value), keeping `safe`.
PyValue soft_string(Interpreter& interpreter, const PyValue& value);
// item.attribute where attribute is dotted text or a number.
PyValue get_path(Interpreter& interpreter, const PyValue& item, const PyValue& attribute);
// Lower case if it is a string: the key of case-insensitive sorting.
PyValue fold_case(Budget* budget, const PyValue& value);

// json.dumps(value, ensure_ascii=False by default, indent, separators, sort_keys). Fault TypeError for what
// is not serializable: undefined, generators, ranges, views.
PyValue filter_tojson(Interpreter& interpreter, const PyValue& value, Arguments& arguments);

}  // namespace pagoda::jinja
