// Builtins of one kind (filters, tests, methods of a type, globals) by name, joined from the files that hold
// their bodies. Immutable, for any thread.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace pagoda::jinja {

template <class Fn>
class Registry {
 public:
  struct Entry {
    std::string_view name;
    Fn fn;
  };
  using Part = std::span<const Entry>;

  // Names are unique over all parts.
  Registry(std::initializer_list<Part> parts) {
    for (const Part& part : parts)
      for (const Entry& entry : part) entries_.push_back(entry);
    std::sort(entries_.begin(), entries_.end(), before);
    const auto same_name = [](const Entry& a, const Entry& b) { return a.name == b.name; };
    PAGODA_CHECK(std::adjacent_find(entries_.begin(), entries_.end(), same_name) == entries_.end(),
                 "a builtin of each name");
  }
  // Fn() if there is none of that name. Costs O(log n).
  Fn find(std::string_view name) const {
    const auto found = std::lower_bound(entries_.begin(), entries_.end(), Entry{name, Fn()}, before);
    return found != entries_.end() && found->name == name ? found->fn : Fn();
  }
  // By name.
  Part entries() const { return entries_; }

 private:
  static bool before(const Entry& a, const Entry& b) { return a.name < b.name; }
  std::vector<Entry> entries_;
};

}  // namespace pagoda::jinja
