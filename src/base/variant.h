// std::variant whose copies may run out of memory.
//
// GCC 12's library takes a variant of strings, vectors, functions and smart pointers alone (and of small
// plain types) for one that always has a value. Where the copy of such a one throws, it destroys the value
// that is not there yet: an invalid free(). One more alternative, of a class of its own
// and never held, makes it look first.
#pragma once
#include <variant>

namespace pagoda {

class NeverHeld {
 public:
  NeverHeld() = delete;
  NeverHeld(const NeverHeld&) {}  // not trivial on purpose: see above
  friend bool operator==(const NeverHeld&, const NeverHeld&) { return true; }
};

template <class... Alternatives>
using Variant = std::variant<Alternatives..., NeverHeld>;

}  // namespace pagoda
