#pragma once
#include <string>
#include <utility>

#include "base/value.h"

namespace pagoda {

// {"type": "text", "text": ...}: what a message's content is made of.
inline Value text_part(std::string text) {
  Object part;
  part.append("type", "text");
  part.append("text", std::move(text));
  return Value(std::move(part));
}

}  // namespace pagoda
