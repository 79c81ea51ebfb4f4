#include "tokenizer/scanner.h"

#include "tokenizer/char_class.h"

namespace pagoda {
namespace {

constexpr std::string_view kGpt4Head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
constexpr std::string_view kGpt4Tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Char {
  CharClass kind;
  uint32_t length;
};

// Requires: valid UTF-8, so that no bound needs a check.
inline Char char_at(std::string_view text, std::size_t pos) {
  auto byte = [&](std::size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[pos + i])); };
  uint32_t first = byte(0);
  if (first < 0x80) return {internal::kAsciiClasses[first], 1};
  if (first < 0xE0) return {char_class((first & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  if (first < 0xF0) return {char_class((first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)), 3};
  return {
      char_class((first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F)),
      4};
}

std::size_t skip(std::string_view text, std::size_t pos, CharClass kind) {
  while (pos < text.size()) {
    Char c = char_at(text, pos);
    if (c.kind != kind) break;
    pos += c.length;
  }
  return pos;
}

// The end of a contraction ('s, 're ...) that begins with the apostrophe at `pos`, or 0.
std::size_t contraction_end(std::string_view text, std::size_t pos, bool fold_case) {
  auto letter = [&](std::size_t at) -> char {
    if (at >= text.size()) return 0;
    char c = text[at];
    return fold_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  char first = letter(pos + 1), second = letter(pos + 2);
  switch (first) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return pos + 2;
    case 'r':
    case 'v':
      return second == 'e' ? pos + 3 : 0;
    case 'l':
      return second == 'l' ? pos + 3 : 0;
    default:
      break;
  }
  // U+017F, the long s, folds to s.
  return fold_case && first == '\xC5' && second == '\xBF' ? pos + 3 : 0;
}

struct SpaceRun {
  std::size_t end = 0;          // of the whole run, newlines included
  std::size_t last_begin = 0;   // of its last character
  std::size_t newline_end = 0;  // behind its last CR or LF; 0 if it holds none
};

SpaceRun space_run(std::string_view text, std::size_t pos) {
  SpaceRun run{pos, pos, 0};
  while (run.end < text.size()) {
    Char c = char_at(text, run.end);
    if (c.kind != CharClass::kSpace && c.kind != CharClass::kNewline) break;
    run.last_begin = run.end;
    run.end += c.length;
    if (c.kind == CharClass::kNewline) run.newline_end = run.end;
  }
  return run;
}

// \s+(?!\S)|\s+: the run without its last character if something follows it and something is left.
std::size_t blank_end(std::string_view text, std::size_t pos, const SpaceRun& run) {
  return run.end < text.size() && run.last_begin > pos ? run.last_begin : run.end;
}

std::size_t next_gpt4(std::string_view text, std::size_t pos, uint32_t digits_max) {
  Char first = char_at(text, pos);
  std::size_t after = pos + first.length;
  if (first.kind == CharClass::kLetter) return skip(text, after, CharClass::kLetter);
  if (first.kind == CharClass::kNumber) {
    for (uint32_t n = 1; n < digits_max && after < text.size(); ++n) {
      Char c = char_at(text, after);
      if (c.kind != CharClass::kNumber) break;
      after += c.length;
    }
    return after;
  }
  if (text[pos] == '\'') {
    if (std::size_t end = contraction_end(text, pos, true)) return end;
  }
  Char second = after < text.size() ? char_at(text, after) : Char{CharClass::kSpace, 0};
  if (first.kind != CharClass::kNewline && second.kind == CharClass::kLetter)
    return skip(text, after + second.length, CharClass::kLetter);
  bool space_then_other = text[pos] == ' ' && second.kind == CharClass::kOther;
  if (first.kind == CharClass::kOther || space_then_other) {
    std::size_t end = skip(text, after, CharClass::kOther);
    return skip(text, end, CharClass::kNewline);
  }
  SpaceRun run = space_run(text, pos);
  return run.newline_end != 0 ? run.newline_end : blank_end(text, pos, run);
}

std::size_t next_gpt2(std::string_view text, std::size_t pos) {
  Char first = char_at(text, pos);
  std::size_t after = pos + first.length;
  if (text[pos] == '\'') {
    if (std::size_t end = contraction_end(text, pos, false)) return end;
  }
  bool blank = first.kind == CharClass::kSpace || first.kind == CharClass::kNewline;
  if (!blank) return skip(text, after, first.kind);
  if (text[pos] == ' ' && after < text.size()) {
    Char second = char_at(text, after);
    if (second.kind != CharClass::kSpace && second.kind != CharClass::kNewline)
      return skip(text, after + second.length, second.kind);
  }
  return blank_end(text, pos, space_run(text, pos));
}

}  // namespace

std::optional<Scanner> Scanner::for_pattern(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return Scanner{Kind::kGpt2, 0};
  if (!pattern.starts_with(kGpt4Head) || !pattern.ends_with(kGpt4Tail)) return std::nullopt;
  if (pattern.size() < kGpt4Head.size() + kGpt4Tail.size()) return std::nullopt;
  pattern.remove_prefix(kGpt4Head.size());
  pattern.remove_suffix(kGpt4Tail.size());
  if (pattern == R"(\p{N})") return Scanner{Kind::kGpt4, 1};
  if (pattern == R"(\p{N}{1,3})") return Scanner{Kind::kGpt4, 3};
  return std::nullopt;
}

std::size_t Scanner::next(std::string_view text, std::size_t from) const {
  return kind == Kind::kGpt2 ? next_gpt2(text, from) : next_gpt4(text, from, digits_max);
}

}  // namespace pagoda
