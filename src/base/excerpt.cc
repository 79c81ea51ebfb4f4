#include "base/excerpt.h"

#include <algorithm>

#include "base/json.h"
#include "base/utf8.h"

namespace pagoda {

std::string excerpt(std::string_view text, std::size_t chars_max) {
  Excerpt cut(chars_max);
  std::string out(cut.of(text));
  return cut.has_cut() ? out + "..." : out;
}

std::string json_excerpt(const Value& value, std::size_t chars_max) {
  Excerpt cut(chars_max);
  std::string out = write_json(cut.of(value));
  return cut.has_cut() ? out + "..." : out;
}

bool Excerpt::next() {
  cut_ = cut_ || left_ == 0;
  return left_ > 0;
}

std::size_t Excerpt::take(std::size_t count) {
  const std::size_t taken = std::min(count, left_);
  left_ -= taken;
  cut_ = cut_ || taken < count;
  return taken;
}

std::string_view Excerpt::of(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && next()) {
    end += decode_utf8(text, end).length;
    --left_;
  }
  return text.substr(0, end);
}

Value Excerpt::of(const Value& value) {
  if (value.is_string()) return of(std::string_view(value.as_string()));
  if (value.is_array()) return of(value.as_array());
  if (value.is_object()) return of(value.as_object());
  left_ -= std::min<std::size_t>(left_, 1);
  return value;
}

Array Excerpt::of(const Array& items) {
  Array out;
  for (const Value& item : items) {
    if (!next()) break;
    const std::size_t before = left_;
    out.push_back(of(item));
    count_empty(before);
  }
  return out;
}

Object Excerpt::of(const Object& object) {
  Object out;
  for (const Member& member : object) {
    if (!next()) break;
    const std::size_t before = left_;
    std::string key(of(std::string_view(member.key)));
    out.append(std::move(key), of(member.value));
    count_empty(before);
  }
  return out;
}

}  // namespace pagoda
