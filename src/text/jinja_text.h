// Text as Python's str sees it, over UTF-8 bytes: code points, white space, case, printable characters.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
std::vector<std::string_view> split_chars(std::string_view text);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title_case(std::string_view text);
std::string swap_case(std::string_view text);

std::string_view strip_space(std::string_view text, bool left, bool right);
// Strips the characters that occur in `chars`.
std::string_view strip_chars(std::string_view text, std::string_view chars, bool left, bool right);
// str.splitlines(), without or with the line ends.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

// text.find(part, from) in linear time whatever the two look like.
std::size_t find_text(std::string_view text, std::string_view part, std::size_t from = 0);

void append_repr(std::string* out, std::string_view text);
std::string quoted(std::string_view text);
// & < > ' " as HTML entities, as markupsafe writes them.
std::string escape_html(std::string_view text);

}  // namespace pagoda::jinja
