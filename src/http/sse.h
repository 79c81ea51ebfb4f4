#pragma once
#include <string>
#include <string_view>

namespace pagoda {

// One server-sent event (WHATWG HTML, section 9.2): `data: ...\n\n`. Requires: `data` has no newline (compact
// JSON).
inline std::string sse_event(std::string_view data) {
  std::string out;
  out.reserve(data.size() + 8);
  out += "data: ";
  out += data;
  out += "\n\n";
  return out;
}

}  // namespace pagoda
