#include "base/utf8.h"

#include <algorithm>

namespace pagoda {
namespace {

// Table 3-7 of the Unicode Standard: the length of a sequence by its first byte, and the range of its second
// byte.
struct Lead {
  uint32_t length;  // 0: cannot start a sequence
  unsigned char low, high;
};

Lead lead(unsigned char first) {
  if (first < 0x80) return {1, 0, 0};
  if (first < 0xC2) return {0, 0, 0};
  if (first < 0xE0) return {2, 0x80, 0xBF};
  if (first == 0xE0) return {3, 0xA0, 0xBF};
  if (first == 0xED) return {3, 0x80, 0x9F};
  if (first < 0xF0) return {3, 0x80, 0xBF};
  if (first == 0xF0) return {4, 0x90, 0xBF};
  if (first < 0xF4) return {4, 0x80, 0xBF};
  if (first == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// Bytes from pos that form a proper beginning of a sequence: equal to lead().length when it is whole.
uint32_t well_formed_bytes(std::string_view text, std::size_t pos, const Lead& l) {
  uint32_t count = 1;
  for (; count < l.length && pos + count < text.size(); ++count) {
    unsigned char c = static_cast<unsigned char>(text[pos + count]);
    if (c < (count == 1 ? l.low : 0x80) || c > (count == 1 ? l.high : 0xBF)) break;
  }
  return count;
}

}  // namespace

Utf8Char decode_utf8(std::string_view text, std::size_t pos) {
  unsigned char first = static_cast<unsigned char>(text[pos]);
  Lead l = lead(first);
  if (l.length == 1) return {first, 1, true};
  if (l.length == 0) return {kReplacementChar, 1, false};
  uint32_t count = well_formed_bytes(text, pos, l);
  if (count < l.length) return {kReplacementChar, count, false};
  uint32_t code_point = first & (0x7Fu >> l.length);
  for (uint32_t i = 1; i < l.length; ++i)
    code_point = code_point << 6 | (static_cast<unsigned char>(text[pos + i]) & 0x3F);
  return {code_point, l.length, true};
}

void append_utf8(std::string* out, uint32_t c) {
  if (c < 0x80) {
    *out += static_cast<char>(c);
  } else if (c < 0x800) {
    *out += static_cast<char>(0xC0 | c >> 6);
    *out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    *out += static_cast<char>(0xE0 | c >> 12);
    *out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    *out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    *out += static_cast<char>(0xF0 | c >> 18);
    *out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    *out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    *out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    Utf8Char c = decode_utf8(text, i);
    if (!c.valid) return false;
    i += c.length;
  }
  return true;
}

std::string sanitize_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    Utf8Char c = decode_utf8(text, i);
    append_utf8(&out, c.code_point);
    i += c.length;
  }
  return out;
}

std::size_t complete_utf8_prefix(std::string_view text) {
  std::size_t size = text.size();
  for (std::size_t back = 1; back <= 3 && back <= size; ++back) {
    unsigned char c = static_cast<unsigned char>(text[size - back]);
    if ((c & 0xC0) == 0x80) continue;
    Lead l = lead(c);
    bool unfinished = l.length > back && well_formed_bytes(text, size - back, l) == back;
    return unfinished ? size - back : size;
  }
  return size;
}

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace pagoda
