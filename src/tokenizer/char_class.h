// The few properties of a character that splitting needs, by the tables of utf8proc.
#pragma once
#include <utf8proc.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace pagoda {

enum class CharClass : uint8_t { kOther, kLetter, kNumber, kSpace, kNewline };  // kNewline: CR and LF only

// White_Space of the Unicode Character Database.
inline bool is_white_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  if (c == 0x85) return true;
  auto category = utf8proc_category(static_cast<int32_t>(c));
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

// \p{N}: Nd, Nl, No; what Rust calls is_numeric().
inline bool is_numeric(uint32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  auto category = utf8proc_category(static_cast<int32_t>(c));
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

// ASCII punctuation (symbols such as $ and + included) and \p{P}.
inline bool is_punctuation(uint32_t c) {
  if (c < 0x80)
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  auto category = utf8proc_category(static_cast<int32_t>(c));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

// \w: letters, marks, decimal digits, connectors, and the other alphabetic characters (letter numbers,
// circled letters).
inline bool is_word_char(uint32_t c) {
  auto category = utf8proc_category(static_cast<int32_t>(c));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) ||
         category == UTF8PROC_CATEGORY_PC || (c >= 0x24B6 && c <= 0x24E9) || c == 0x200C || c == 0x200D;
}

namespace internal {

constexpr CharClass class_of_category(int category) {
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) return CharClass::kLetter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) return CharClass::kNumber;
  if (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP) return CharClass::kSpace;
  return CharClass::kOther;
}

constexpr std::array<CharClass, 128> ascii_classes() {
  std::array<CharClass, 128> classes{};
  for (char c = 9; c <= 13; ++c) classes[static_cast<std::size_t>(c)] = CharClass::kSpace;
  classes[' '] = CharClass::kSpace;
  classes['\n'] = classes['\r'] = CharClass::kNewline;
  for (char c = '0'; c <= '9'; ++c) classes[static_cast<std::size_t>(c)] = CharClass::kNumber;
  for (char c = 'a'; c <= 'z'; ++c) classes[static_cast<std::size_t>(c)] = CharClass::kLetter;
  for (char c = 'A'; c <= 'Z'; ++c) classes[static_cast<std::size_t>(c)] = CharClass::kLetter;
  return classes;
}

inline constexpr std::array<CharClass, 128> kAsciiClasses = ascii_classes();

}  // namespace internal

inline CharClass char_class(uint32_t c) {
  if (c < 0x80) return internal::kAsciiClasses[c];
  if (c == 0x85) return CharClass::kSpace;
  return internal::class_of_category(utf8proc_category(static_cast<int32_t>(c)));
}

}  // namespace pagoda
