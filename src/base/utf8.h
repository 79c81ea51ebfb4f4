// UTF-8: decoding, encoding, validation. Replacement follows the Unicode Standard (chapter 3.9, "maximal
// subpart"): one U+FFFD per ill-formed prefix, as WHATWG decoders and Python's errors="replace" do.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace pagoda {

inline constexpr uint32_t kReplacementChar = 0xFFFD;
inline constexpr std::string_view kReplacementText = "\xEF\xBF\xBD";

struct Utf8Char {
  uint32_t code_point;  // kReplacementChar where ill-formed
  uint32_t length;      // bytes used, >= 1
  bool valid;
};

// Requires: pos < text.size().
Utf8Char decode_utf8(std::string_view text, std::size_t pos);
void append_utf8(std::string* out, uint32_t code_point);
bool is_valid_utf8(std::string_view text);
// The same text with every ill-formed part replaced by U+FFFD.
std::string sanitize_utf8(std::string_view text);
// Length of the longest prefix that does not end inside a character that could still be completed. Ill-formed
// bytes count as complete: only a proper, unfinished beginning of a character at the very end is held back
// (at most 3 bytes).
std::size_t complete_utf8_prefix(std::string_view text);

// Of valid UTF-8.
std::size_t count_code_points(std::string_view text);

}  // namespace pagoda
