// Walking through text files line by line. Internal to this room.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace pagoda {

// The longest prompt or answer that a file may ask for, and the most of all its prompts together, in tokens.
inline constexpr int64_t kLengthMax = 1 << 24, kTotalLengthMax = int64_t{1} << 28;

// Adds the length of one more prompt to `total`.
inline Status add_length(int64_t length, int64_t* total) {
  *total += length;
  if (*total <= kTotalLengthMax) return {};
  return invalid_argument("the prompts have more than " + std::to_string(kTotalLengthMax) +
                          " tokens together: ask for fewer with --num-prompts");
}

// Lines that are not empty, without their ends. An error of `each` gets the number of its line.
inline Status for_each_line(const std::string& content,
                            const std::function<Status(std::string_view line)>& each) {
  std::string_view rest = content;
  for (int64_t number = 1; !rest.empty(); ++number) {
    std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    Status status = each(line);
    if (!status.ok()) return std::move(status).with_context("line " + std::to_string(number));
  }
  return {};
}

// Each line must be a JSON object.
inline Status for_each_json_line(const std::string& content,
                                 const std::function<Status(const Value& line)>& each) {
  return for_each_line(content, [&](std::string_view line) -> Status {
    PAGODA_TRY(Value value, parse_json(line));
    if (!value.is_object()) return invalid_argument("a JSON object is meant");
    return each(value);
  });
}

}  // namespace pagoda
