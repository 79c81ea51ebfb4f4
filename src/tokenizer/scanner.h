// Hand-written scanners for the three splitting expressions that most byte-level vocabularies use. They give
// exactly the pieces of the expression, several times faster than a regular expression engine; every other
// expression goes to Regex.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace pagoda {

struct Scanner {
  // Both kinds cover the text without gaps: every character belongs to a piece.
  enum class Kind : uint8_t {
    kGpt2,  // '(s|t|re|..) | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
    kGpt4,  // (?i:'s|'t|..) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,n} | ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ |
            // ...
  };
  Kind kind;
  uint32_t digits_max;  // n of kGpt4

  // The scanner of an expression, if there is one.
  static std::optional<Scanner> for_pattern(std::string_view pattern);
  // The end of the piece that begins at `from`. Requires: from < text.size(), valid UTF-8.
  std::size_t next(std::string_view text, std::size_t from) const;
};

// The expression that ByteLevel's use_regex stands for.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace pagoda
