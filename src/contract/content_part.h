#pragma once
#include <string>
#include <utility>

#include "base/value.h"

namespace pagoda {

// A message's content is made of two kinds of parts: {"type": "text", "text": ...} ...
inline Value text_part(std::string text) {
  Object part;
  part.append("type", "text");
  part.append("text", std::move(text));
  return Value(std::move(part));
}

// ... and {"type": "tool_reference", "name": ...}, a tool that the template is to tell of in this place.
inline Value tool_reference_part(std::string name) {
  Object part;
  part.append("type", "tool_reference");
  part.append("name", std::move(name));
  return Value(std::move(part));
}

inline bool is_text_part(const Value& part) {
  return part.find("text") != nullptr;
}

// What the part is where content is one string.
inline const std::string& text_of_part(const Value& part) {
  return part.find(is_text_part(part) ? "text" : "name")->as_string();
}
inline std::string& text_of_part(Value* part) {
  return part->as_object().find(is_text_part(*part) ? "text" : "name")->as_string();
}

}  // namespace pagoda
