#include "jinja/text.h"

#include <string.h>
#include <utf8proc.h>

#include <algorithm>

#include "base/utf8.h"

namespace pagoda::jinja {
namespace {

utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// Characters whose upper case is more than one character (SpecialCasing.txt of Unicode, unconditional part,
// the ones that occur in living text).
const char* special_upper(uint32_t c) {
  switch (c) {
    case 0xDF:
      return "SS";
    case 0x149:
      return "\u02BCN";
    case 0x1F0:
      return "J\u030C";
    case 0x390:
      return "\u0399\u0308\u0301";
    case 0x3B0:
      return "\u03A5\u0308\u0301";
    case 0x587:
      return "\u0535\u0552";
    case 0xFB00:
      return "FF";
    case 0xFB01:
      return "FI";
    case 0xFB02:
      return "FL";
    case 0xFB03:
      return "FFI";
    case 0xFB04:
      return "FFL";
    case 0xFB05:
      return "ST";
    case 0xFB06:
      return "ST";
    default:
      return nullptr;
  }
}

void append_upper(std::string* out, uint32_t c) {
  if (const char* special = special_upper(c))
    *out += special;
  else
    append_utf8(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
}

void append_title(std::string* out, uint32_t c) {
  const char* special = special_upper(c);
  if (special == nullptr) {
    append_utf8(out, static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
    return;
  }
  Utf8Char first = decode_utf8(special, 0);
  out->append(special, first.length);
  *out += to_lower(std::string_view(special).substr(first.length));
}

bool is_cased(uint32_t c) {
  return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
}

// A capital sigma at the end of a word becomes the final form.
bool is_final_sigma(std::string_view text, std::size_t pos, bool cased_before) {
  if (!cased_before) return false;
  for (std::size_t i = pos + 2; i < text.size();) {
    Utf8Char next = decode_utf8(text, i);
    i += next.length;
    utf8proc_category_t kind = category(next.code_point);
    if (kind == UTF8PROC_CATEGORY_MN || next.code_point == '\'' || next.code_point == 0x2019) continue;
    return !is_cased(next.code_point);
  }
  return true;
}

void append_lower(std::string* out, std::string_view text, std::size_t pos, uint32_t c, bool cased_before) {
  if (c == 0x130)
    *out += "i\u0307";
  else if (c == 0x3A3)
    *out += is_final_sigma(text, pos, cased_before) ? "\u03C2" : "\u03C3";
  else
    append_utf8(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

template <class F>
void for_each_code_point(std::string_view text, F visit) {
  for (std::size_t i = 0; i < text.size();) {
    Utf8Char c = decode_utf8(text, i);
    visit(i, c.code_point);
    i += c.length;
  }
}

}  // namespace

bool is_space(uint32_t c) {
  if (c <= 0x20) return c == 0x20 || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
  if (c < 0x85) return false;
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_alpha(uint32_t c) {
  utf8proc_category_t kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(uint32_t c) {
  return c < 0x80 ? c >= '0' && c <= '9' : category(c) == UTF8PROC_CATEGORY_ND;
}

bool is_word(uint32_t c) {
  if (c < 0x80) return c == '_' || is_decimal(c) || (c | 32u) - 'a' < 26;
  utf8proc_category_t kind = category(c);
  return is_alpha(c) || (kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO);
}

bool is_upper(uint32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU;
}
bool is_lower(uint32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA;
}

bool is_printable(uint32_t c) {
  if (c < 0x7F) return c >= 0x20;
  utf8proc_category_t kind = category(c);
  return kind != UTF8PROC_CATEGORY_CN && kind < UTF8PROC_CATEGORY_ZS;
}

int64_t count_chars(std::string_view text) {
  int64_t count = 0;
  for_each_code_point(text, [&](std::size_t, uint32_t) { ++count; });
  return count;
}

std::size_t char_offset(std::string_view text, int64_t index) {
  std::size_t pos = 0;
  for (; index > 0 && pos < text.size(); --index) pos += decode_utf8(text, pos).length;
  return pos;
}

std::string to_upper(std::string_view text) {
  std::string out;
  for_each_code_point(text, [&](std::size_t, uint32_t c) { append_upper(&out, c); });
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  bool cased = false;
  for_each_code_point(text, [&](std::size_t pos, uint32_t c) {
    append_lower(&out, text, pos, c, cased);
    cased = is_cased(c);
  });
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  bool cased = false;
  for_each_code_point(text, [&](std::size_t pos, uint32_t c) {
    if (pos == 0)
      append_title(&out, c);
    else
      append_lower(&out, text, pos, c, cased);
    cased = is_cased(c);
  });
  return out;
}

std::string title_case(std::string_view text) {
  std::string out;
  bool cased = false;
  for_each_code_point(text, [&](std::size_t pos, uint32_t c) {
    if (cased)
      append_lower(&out, text, pos, c, true);
    else
      append_title(&out, c);
    cased = is_cased(c);
  });
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  bool cased = false;
  for_each_code_point(text, [&](std::size_t pos, uint32_t c) {
    if (is_lower(c))
      append_upper(&out, c);
    else
      append_lower(&out, text, pos, c, cased);
    cased = is_cased(c);
  });
  return out;
}

namespace {

template <class Predicate>
std::string_view strip_if(std::string_view text, bool left, bool right, Predicate drop) {
  while (left && !text.empty()) {
    Utf8Char c = decode_utf8(text, 0);
    if (!drop(c.code_point)) break;
    text.remove_prefix(c.length);
  }
  while (right && !text.empty()) {
    std::size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80)
      --start;
    Utf8Char c = decode_utf8(text, start);
    if (!drop(c.code_point)) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

}  // namespace

std::string_view strip_space(std::string_view text, bool left, bool right) {
  return strip_if(text, left, right, is_space);
}

std::string_view strip_chars(std::string_view text, std::string_view chars, bool left, bool right) {
  std::vector<uint32_t> set;
  for_each_code_point(chars, [&](std::size_t, uint32_t c) { set.push_back(c); });
  std::sort(set.begin(), set.end());
  return strip_if(text, left, right,
                  [&set](uint32_t c) { return std::binary_search(set.begin(), set.end(), c); });
}

bool ends_line(uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

std::size_t find_text(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  // memmem of the C library is the two-way algorithm.
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

BackwardSearch::BackwardSearch(std::string_view text, std::string_view part)
    : text_(text.rbegin(), text.rend()), part_(part.rbegin(), part.rend()) {}

std::size_t BackwardSearch::next() {
  std::size_t at = find_text(text_, part_, done_);
  if (at == std::string_view::npos) return at;
  done_ = at + part_.size();
  return text_.size() - done_;
}

void append_repr(std::string* out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  bool has_single = text.find('\'') != std::string_view::npos;
  char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  auto hex = [&](char letter, uint32_t c, int digits) {
    *out += '\\';
    *out += letter;
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) *out += kHex[(c >> shift) & 15];
  };
  *out += quote;
  for_each_code_point(text, [&](std::size_t, uint32_t c) {
    if (c == static_cast<uint32_t>(quote) || c == '\\') {
      *out += '\\';
      *out += static_cast<char>(c);
    } else if (c == '\n') {
      *out += "\\n";
    } else if (c == '\r') {
      *out += "\\r";
    } else if (c == '\t') {
      *out += "\\t";
    } else if (is_printable(c)) {
      append_utf8(out, c);
    } else if (c < 0x100) {
      hex('x', c, 2);
    } else if (c < 0x10000) {
      hex('u', c, 4);
    } else {
      hex('U', c, 8);
    }
  });
  *out += quote;
}

std::string quoted(std::string_view text) {
  std::string out;
  append_repr(&out, text);
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace pagoda::jinja
