// Text as Python's str sees it, over UTF-8 bytes: code points, white space, case, printable characters.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"

namespace pagoda::jinja {

// str.isspace of one character: also what strip(), split() and a regular expression's \s mean by white space.
bool is_space(uint32_t c);
bool is_alpha(uint32_t c);
bool is_decimal(uint32_t c);
// Letter, digit, number or underscore: \w of a regular expression.
bool is_word(uint32_t c);
bool is_upper(uint32_t c);
bool is_lower(uint32_t c);
// Kept as it is by repr().
bool is_printable(uint32_t c);

int64_t count_chars(std::string_view text);
// The byte offset of character number `index`; text.size() if there are no more.
std::size_t char_offset(std::string_view text, int64_t index);
// visit(offset, character), the character as its bytes.
template <class F>
void for_each_char(std::string_view text, F visit);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title_case(std::string_view text);
std::string swap_case(std::string_view text);

std::string_view strip_space(std::string_view text, bool left, bool right);
// Strips the characters that occur in `chars`.
std::string_view strip_chars(std::string_view text, std::string_view chars, bool left, bool right);
// True for the characters at which str.splitlines() cuts.
bool ends_line(uint32_t c);
// str.splitlines(), without or with the line ends: visit(line).
template <class F>
void for_each_line(std::string_view text, bool keep_ends, F visit);

// text.find(part, from) in linear time whatever the two look like.
std::size_t find_text(std::string_view text, std::string_view part, std::size_t from = 0);
// The occurrences of a part from the last one back, that do not overlap; all of them in linear time.
class BackwardSearch {
 public:
  BackwardSearch(std::string_view text, std::string_view part);
  // The offset of the next one; npos after the first of the text. An empty part is found at the end.
  std::size_t next();

 private:
  std::string text_, part_;  // backwards
  std::size_t done_ = 0;
};

void append_repr(std::string* out, std::string_view text);
std::string quoted(std::string_view text);
// & < > ' " as HTML entities, as markupsafe writes them.
std::string escape_html(std::string_view text);

template <class F>
void for_each_char(std::string_view text, F visit) {
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = decode_utf8(text, i).length;
    visit(i, text.substr(i, length));
    i += length;
  }
}

template <class F>
void for_each_line(std::string_view text, bool keep_ends, F visit) {
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size();) {
    Utf8Char c = decode_utf8(text, i);
    std::size_t end = i;
    i += c.length;
    if (!ends_line(c.code_point)) continue;
    if (c.code_point == '\r' && i < text.size() && text[i] == '\n') ++i;
    visit(text.substr(start, (keep_ends ? i : end) - start));
    start = i;
  }
  if (start < text.size()) visit(text.substr(start));
}

}  // namespace pagoda::jinja
