// What messages and logs show of a value from outside, which may have any size: its beginning, cut before
// anything is made of it.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/value.h"

namespace pagoda {

// The first characters of a text and "...", or all of it.
std::string excerpt(std::string_view text, std::size_t chars_max);
// Such a beginning of a value as JSON.
std::string json_excerpt(const Value& value, std::size_t chars_max);

// Cuts several values to a number of characters together: those of strings and keys; every other value is
// one.
class Excerpt {
 public:
  explicit Excerpt(std::size_t chars_max) : left_(chars_max) {}

  std::string_view of(std::string_view text);
  Value of(const Value& value);
  Array of(const Array& items);
  Object of(const Object& object);
  // How many of so many values fit.
  std::size_t take(std::size_t count);

  std::size_t left() const { return left_; }
  bool has_cut() const { return cut_; }

 private:
  bool next();  // false: nothing more fits
  void count_empty(std::size_t left_before) { left_ -= left_ == left_before; }

  std::size_t left_;
  bool cut_ = false;
};

}  // namespace pagoda
