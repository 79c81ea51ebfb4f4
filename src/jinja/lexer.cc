#include "jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

// \r\n and \r become \n; one newline at the very end is dropped.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalize_newlines(source)) {}
  std::vector<Token> run();

 private:
  [[noreturn]] void error(const std::string& message) const {
    throw Fault{"TemplateSyntaxError", message, line_};
  }
  std::string_view rest() const { return std::string_view(text_).substr(pos_); }
  std::string_view view(std::size_t begin, std::size_t end) const {
    return std::string_view(text_).substr(begin, end - begin);
  }
  char peek(std::size_t ahead = 0) const { return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0'; }

  // Moves to `end`, counting lines, and remembers whether a line starts there.
  void advance_to(std::size_t end);
  std::size_t skip_space(std::size_t pos) const;
  // Now and then: has the request been cancelled?
  void look_up() const {
    if (tokens_.size() % 256 == 0) fail_if_cancelled();
  }
  void emit(TokenType type, std::string text) { tokens_.push_back({type, line_, std::move(text)}); }

  std::size_t find_tag() const;
  void data_before_tag(std::size_t tag, char sign, bool lstrip);
  // After `{%` + sign: the end of `raw %}` if this is a raw block, else npos. Likewise endraw.
  std::size_t match_raw_tag(std::size_t pos, std::string_view word) const;
  std::size_t after_end(std::size_t pos, std::string_view close, bool trim_newline) const;
  void comment(std::size_t begin);
  void raw(std::size_t body);
  void inside(bool block);
  bool at_end(bool block);
  void token();
  bool number();
  std::size_t digits(std::size_t pos) const;
  void integer();
  bool name();
  bool string();
  void unescape(std::string_view raw_text, std::string* out) const;
  std::size_t numeric_escape(std::string_view raw_text, std::size_t pos, std::string* out) const;
  bool operator_token();

  std::string text_;
  std::size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string brackets_;  // the closers that are due
  std::vector<Token> tokens_;
};

void Lexer::advance_to(std::size_t end) {
  if (end == pos_) return;
  line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(pos_),
                                       text_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
  line_starting_ = text_[end - 1] == '\n';
  pos_ = end;
}

std::size_t Lexer::skip_space(std::size_t pos) const {
  while (pos < text_.size()) {
    Utf8Char c = decode_utf8(text_, pos);
    if (!is_space(c.code_point)) break;
    pos += c.length;
  }
  return pos;
}

std::size_t Lexer::find_tag() const {
  for (std::size_t i = text_.find('{', pos_); i != std::string::npos; i = text_.find('{', i + 1)) {
    char next = i + 1 < text_.size() ? text_[i + 1] : '\0';
    if (next == '%' || next == '{' || next == '#') return i;
  }
  return std::string::npos;
}

void Lexer::data_before_tag(std::size_t tag, char sign, bool lstrip) {
  std::string_view data = view(pos_, tag);
  if (sign == '-') {
    data = strip_space(data, false, true);
  } else if (sign != '+' && lstrip) {
    std::size_t newline = data.rfind('\n');
    std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
    std::string_view indent = data.substr(start);
    if ((start > 0 || line_starting_) && !indent.empty() && strip_space(indent, true, false).empty())
      data = data.substr(0, start);
  }
  if (!data.empty()) emit(TokenType::kData, std::string(data));
}

// `pos` is at the sign or at the closing braces.
std::size_t Lexer::after_end(std::size_t pos, std::string_view close, bool trim_newline) const {
  std::string_view text = text_;
  if (pos < text.size() && text[pos] == '-' && text.substr(pos + 1).starts_with(close))
    return skip_space(pos + 1 + close.size());
  if (trim_newline && pos < text.size() && text[pos] == '+' && text.substr(pos + 1).starts_with(close))
    return pos + 1 + close.size();
  if (pos > text.size() || !text.substr(pos).starts_with(close)) return std::string::npos;
  pos += close.size();
  return trim_newline && pos < text.size() && text[pos] == '\n' ? pos + 1 : pos;
}

std::size_t Lexer::match_raw_tag(std::size_t pos, std::string_view word) const {
  pos = skip_space(pos);
  if (!std::string_view(text_).substr(pos).starts_with(word)) return std::string::npos;
  pos = skip_space(pos + word.size());
  // `raw` itself takes no `+%}` and keeps the newline behind it.
  if (word == "raw" && pos < text_.size() && text_[pos] == '+') return std::string::npos;
  std::size_t end = after_end(pos, "%}", word == "endraw");
  return end;
}

void Lexer::comment(std::size_t begin) {
  std::size_t close = text_.find("#}", begin);
  if (close == std::string::npos) error("Missing end of comment tag");
  bool sign = close > begin && (text_[close - 1] == '-' || text_[close - 1] == '+');
  advance_to(after_end(sign ? close - 1 : close, "#}", true));
}

void Lexer::raw(std::size_t body) {
  advance_to(body);
  for (std::size_t tag = text_.find("{%", pos_); tag != std::string::npos; tag = text_.find("{%", tag + 2)) {
    char sign =
        tag + 2 < text_.size() && (text_[tag + 2] == '-' || text_[tag + 2] == '+') ? text_[tag + 2] : '\0';
    std::size_t end = match_raw_tag(tag + 2 + (sign != '\0'), "endraw");
    if (end == std::string::npos) continue;
    data_before_tag(tag, sign, true);
    advance_to(end);
    return;
  }
  error("Missing end of raw directive");
}

std::vector<Token> Lexer::run() {
  while (pos_ < text_.size()) {
    look_up();
    std::size_t tag = find_tag();
    if (tag == std::string::npos) {
      emit(TokenType::kData, std::string(rest()));
      advance_to(text_.size());
      break;
    }
    char kind = text_[tag + 1];
    char sign =
        tag + 2 < text_.size() && (text_[tag + 2] == '-' || text_[tag + 2] == '+') ? text_[tag + 2] : '\0';
    std::size_t begin = tag + 2 + (sign != '\0');
    data_before_tag(tag, sign, kind != '{');
    advance_to(tag);
    std::size_t raw_body = kind == '%' ? match_raw_tag(begin, "raw") : std::string::npos;
    if (raw_body != std::string::npos) {
      raw(raw_body);
    } else if (kind == '#') {
      comment(begin);
    } else {
      emit(kind == '%' ? TokenType::kBlockBegin : TokenType::kVariableBegin, {});
      advance_to(begin);
      inside(kind == '%');
    }
  }
  emit(TokenType::kEnd, {});
  return std::move(tokens_);
}

void Lexer::inside(bool block) {
  while (pos_ < text_.size()) {
    look_up();
    if (brackets_.empty() && at_end(block)) return;
    std::size_t next = skip_space(pos_);
    if (next != pos_)
      advance_to(next);
    else
      token();
  }
}

bool Lexer::at_end(bool block) {
  std::size_t end = after_end(pos_, block ? "%}" : "}}", block);
  if (end == std::string::npos) return false;
  emit(block ? TokenType::kBlockEnd : TokenType::kVariableEnd, {});
  advance_to(end);
  return true;
}

void Lexer::token() {
  if (number() || name() || string() || operator_token()) return;
  std::size_t length = decode_utf8(text_, pos_).length;
  error("unexpected char " + quoted(view(pos_, pos_ + length)) + " at " +
        std::to_string(count_chars(view(0, pos_))));
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The end of (\d+_)*\d+ at pos; pos itself if there is no digit.
std::size_t Lexer::digits(std::size_t pos) const {
  std::size_t end = pos;
  while (end < text_.size() &&
         (is_digit(text_[end]) || (text_[end] == '_' && end > pos && is_digit(text_[end - 1]) &&
                                   end + 1 < text_.size() && is_digit(text_[end + 1]))))
    ++end;
  return end;
}

bool Lexer::number() {
  if (!is_digit(peek())) return false;
  std::size_t whole = digits(pos_), end = whole;
  bool after_dot = pos_ > 0 && text_[pos_ - 1] == '.';
  if (!after_dot) {
    std::size_t fraction = end < text_.size() && text_[end] == '.' ? digits(end + 1) : end;
    if (fraction > end + 1) end = fraction;
    if (end < text_.size() && (text_[end] | 32) == 'e') {
      std::size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (digits(exponent) > exponent) end = digits(exponent);
    }
  }
  if (end == whole) {
    integer();
    return true;
  }
  Token number_token{TokenType::kFloat, line_, std::string(view(pos_, end))};
  parse_float(number_token.text, &number_token.real);
  tokens_.push_back(std::move(number_token));
  advance_to(end);
  return true;
}

void Lexer::integer() {
  std::size_t end = digits(pos_);
  char letter = static_cast<char>(peek(1) | 32);
  int base = peek() != '0' ? 10 : letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
  if (base != 10) {
    auto digit_of_base = [&](std::size_t at) {
      if (at >= text_.size()) return false;
      int value = is_digit(text_[at]) ? text_[at] - '0' : (text_[at] | 32) - 'a' + 10;
      return value >= 0 && value < base && (is_digit(text_[at]) || (text_[at] | 32) >= 'a');
    };
    std::size_t at = pos_ + 2;
    while (digit_of_base(at) || (at < text_.size() && text_[at] == '_' && digit_of_base(at + 1))) ++at;
    if (at > pos_ + 2)
      end = at;
    else
      base = 10;
  }
  if (base == 10 && peek() == '0')  // 0(_?0)*: a leading zero is not octal
    for (end = pos_ + 1; end < text_.size() && text_[end] == '0';) ++end;
  Token number_token{TokenType::kInteger, line_, std::string(view(pos_, end))};
  try {
    if (!parse_int(number_token.text, base == 10 ? 10 : 0, &number_token.integer)) error("invalid integer");
  } catch (const Fault&) {
    error("the integer " + number_token.text.substr(0, 40) + " does not fit into 64 bits");
  }
  tokens_.push_back(std::move(number_token));
  advance_to(end);
}

bool Lexer::name() {
  std::size_t end = pos_;
  while (end < text_.size()) {
    Utf8Char c = decode_utf8(text_, end);
    if (!is_word(c.code_point)) break;
    end += c.length;
  }
  if (end == pos_) return false;
  uint32_t first = decode_utf8(text_, pos_).code_point;
  if (first != '_' && !is_alpha(first)) error("Invalid character in identifier");
  emit(TokenType::kName, std::string(view(pos_, end)));
  advance_to(end);
  return true;
}

bool Lexer::string() {
  char quote = peek();
  if (quote != '"' && quote != '\'') return false;
  std::size_t end = pos_ + 1;
  while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
  if (end >= text_.size()) return false;
  std::string value;
  unescape(view(pos_ + 1, end), &value);
  emit(TokenType::kString, std::move(value));
  advance_to(end + 1);
  return true;
}

void Lexer::unescape(std::string_view raw_text, std::string* out) const {
  static constexpr std::string_view kLetters = "abfnrtv\\'\"", kMeanings = "\a\b\f\n\r\t\v\\'\"";
  for (std::size_t i = 0; i < raw_text.size();) {
    if (raw_text[i] != '\\' || i + 1 >= raw_text.size()) {
      *out += raw_text[i++];
      continue;
    }
    char letter = raw_text[i + 1];
    std::size_t simple = kLetters.find(letter);
    if (simple != std::string_view::npos) {
      *out += kMeanings[simple];
      i += 2;
    } else if (letter == '\n') {
      i += 2;
    } else if (letter == 'x' || letter == 'u' || letter == 'U' || (letter >= '0' && letter <= '7')) {
      i = numeric_escape(raw_text, i + 1, out);
    } else if (letter == 'N') {
      error("\\N{...} in a string is not supported");
    } else {
      *out += '\\';
      ++i;
    }
  }
}

// `pos` is at the letter or at the first octal digit. Returns the position behind the escape.
std::size_t Lexer::numeric_escape(std::string_view raw_text, std::size_t pos, std::string* out) const {
  char letter = raw_text[pos];
  std::size_t count = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 3;
  bool octal = count == 3;
  std::size_t begin = octal ? pos : pos + 1;
  std::size_t end = begin;
  auto is_wanted = [&](char c) {
    return octal ? c >= '0' && c <= '7' : is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
  };
  while (end < raw_text.size() && end - begin < count && is_wanted(raw_text[end])) ++end;
  if (!octal && end - begin != count) error(std::string("truncated \\") + letter + " escape");
  uint32_t code_point = 0;
  std::from_chars(raw_text.data() + begin, raw_text.data() + end, code_point, octal ? 8 : 16);
  if (code_point > 0x10FFFF) error("illegal Unicode character");
  bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  append_utf8(out, surrogate ? kReplacementChar : code_point);
  return end;
}

bool Lexer::operator_token() {
  static constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
  static constexpr std::string_view kShort = "+-*/%~[](){}<>=.:|,;";
  std::size_t length = 0;
  for (std::string_view op : kLong)
    if (rest().starts_with(op)) length = 2;
  if (length == 0 && kShort.find(peek()) == std::string_view::npos) return false;
  length = std::max<std::size_t>(length, 1);
  char c = peek();
  if (c == '(' || c == '[' || c == '{') {
    brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
  } else if (c == ')' || c == ']' || c == '}') {
    if (brackets_.empty()) error(std::string("unexpected '") + c + "'");
    if (brackets_.back() != c)
      error(std::string("unexpected '") + c + "', expected '" + brackets_.back() + "'");
    brackets_.pop_back();
  }
  emit(TokenType::kOperator, std::string(rest().substr(0, length)));
  advance_to(pos_ + length);
  return true;
}

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace pagoda::jinja
