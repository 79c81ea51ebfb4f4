#include "openai/lax_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr std::size_t kQuotedBytes = 60;
constexpr std::size_t kNumberBytes = 4096;  // a longer text is meant as no number
constexpr double kTwoTo63 = 9223372036854775808.0;

// An integer of any size, as far as it matters: what lies beyond int64 is only known to.
struct Integer {
  int64_t number = 0;
  int beyond = 0;  // -1: below int64, 1: above
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// As Python reads numbers: spaces around it do not count, nor do single underscores between digits. Empty: it
// is none.
std::string plain_digits(std::string_view text) {
  text = trim(text);
  if (text.size() > kNumberBytes) return {};
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    bool between = i > 0 && i + 1 < text.size() && is_digit(text[i - 1]) && is_digit(text[i + 1]);
    if (!between) return {};
  }
  return out;
}

std::optional<Integer> integer_of_text(std::string_view text) {
  std::string digits = plain_digits(text);
  std::size_t sign = !digits.empty() && (digits[0] == '-' || digits[0] == '+') ? 1 : 0;
  // "3.00" is 3.
  if (std::size_t point = digits.find('.'); point != std::string::npos) {
    bool zeros = point + 1 < digits.size() && digits.find_first_not_of('0', point + 1) == std::string::npos;
    if (!zeros) return std::nullopt;
    digits.erase(point);
  }
  if (digits.size() == sign ||
      !std::all_of(digits.begin() + static_cast<std::ptrdiff_t>(sign), digits.end(), is_digit))
    return std::nullopt;
  bool negative = digits[0] == '-';
  if (digits[0] == '+') digits.erase(0, 1);
  Integer out;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.number);
  if (error == std::errc::result_out_of_range) out = {negative ? kInt64Min : kInt64Max, negative ? -1 : 1};
  return out;
}

Result<Integer> lax_integer(const Value& value, std::string_view where) {
  if (value.is_int()) return Integer{value.as_int()};
  if (value.is_bool()) return Integer{value.as_bool() ? 1 : 0};
  if (value.is_double()) {
    double number = value.as_double();
    if (std::trunc(number) != number)
      return field_error(where, "Input should be a valid integer, got a number with a fractional part, " +
                                    describe_value(value));
    if (number >= kTwoTo63) return Integer{kInt64Max, 1};
    if (number <= -kTwoTo63) return Integer{kInt64Min, -1};  // -2^63 itself is read as an integer
    return Integer{static_cast<int64_t>(number)};
  }
  if (!value.is_string()) return type_error(where, "a valid integer", value);
  if (std::optional<Integer> parsed = integer_of_text(value.as_string())) return *parsed;
  return field_error(where, "Input should be a valid integer, unable to parse string as an integer, " +
                                describe_value(value));
}

}  // namespace

std::string join_location(std::string_view parent, std::string_view child) {
  return parent.empty() ? std::string(child) : fmt::format("{}.{}", parent, child);
}
std::string join_location(std::string_view parent, std::size_t index) {
  return join_location(parent, std::to_string(index));
}

Status field_error(std::string_view where, std::string_view problem) {
  return invalid_argument(fmt::format("{}: {}", where, problem), fmt::format("body.{}", where));
}

std::string describe_value(const Value& value) {
  if (value.is_array() || value.is_object() || value.is_null())
    return fmt::format("got {}", value.type_name());
  std::string text;
  if (value.is_string() && value.as_string().size() > kQuotedBytes) {
    std::string_view head = std::string_view(value.as_string()).substr(0, kQuotedBytes);
    text = write_json(Value(head.substr(0, complete_utf8_prefix(head)))) + "...";
  } else {
    text = write_json(value);
  }
  return fmt::format("got {} {}", value.type_name(), text);
}

Status type_error(std::string_view where, const char* wanted, const Value& value) {
  return field_error(where, fmt::format("Input should be {}, {}", wanted, describe_value(value)));
}

Result<int64_t> parse_integer(const Value& value, std::string_view where) {
  PAGODA_TRY(Integer integer, lax_integer(value, where));
  return integer.number;
}

Result<int64_t> parse_integer(const Value& value, int64_t low, int64_t high, std::string_view where) {
  PAGODA_TRY(Integer integer, lax_integer(value, where));
  if (integer.beyond < 0 || integer.number < low)
    return field_error(
        where, fmt::format("Input should be greater than or equal to {}, {}", low, describe_value(value)));
  if (integer.beyond > 0 || integer.number > high)
    return field_error(
        where, fmt::format("Input should be less than or equal to {}, {}", high, describe_value(value)));
  return integer.number;
}

Result<TokenId> parse_token_id(const Value& value, std::string_view where, std::string_view field,
                               TokenIds kind) {
  PAGODA_TRY(int64_t id, parse_integer(value, where));
  if (id < 0 && kind == TokenIds::kFromZero)
    return field_error(where, "Input should be greater than or equal to 0, " + describe_value(value));
  if (id < 0 || id > kInt32Max)
    return invalid_argument(
        fmt::format("{}: token id is out of vocabulary, {}", where, describe_value(value)),
        std::string(field));
  return static_cast<TokenId>(id);
}

Result<double> parse_number(const Value& value, std::string_view where) {
  if (value.is_number()) return value.as_double();
  if (value.is_bool()) return value.as_bool() ? 1.0 : 0.0;
  if (!value.is_string()) return type_error(where, "a valid number", value);
  std::string text = plain_digits(value.as_string());
  std::size_t sign = !text.empty() && text[0] == '+' ? 1 : 0;
  double number = 0;
  auto [end, error] = std::from_chars(text.data() + sign, text.data() + text.size(), number);
  bool whole = end == text.data() + text.size() && text.find('(') == std::string::npos;
  if (error == std::errc::result_out_of_range && whole)
    return text.find("e-") != std::string::npos || text.find("E-") != std::string::npos ? 0.0 : HUGE_VAL;
  if (error == std::errc() && whole) return number;
  return field_error(
      where, "Input should be a valid number, unable to parse string as a number, " + describe_value(value));
}

Result<bool> parse_bool(const Value& value, std::string_view where) {
  if (value.is_bool()) return value.as_bool();
  if (value.is_number() && (value.as_double() == 0 || value.as_double() == 1)) return value.as_double() == 1;
  if (value.is_string() && value.as_string().size() <= 5) {
    std::string text = value.as_string();
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    static constexpr std::array<std::string_view, 6> kTrue = {"1", "on", "t", "true", "y", "yes"};
    static constexpr std::array<std::string_view, 6> kFalse = {"0", "off", "f", "false", "n", "no"};
    if (std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end()) return true;
    if (std::find(kFalse.begin(), kFalse.end(), text) != kFalse.end()) return false;
  }
  if (!value.is_string() && !value.is_int()) return type_error(where, "a valid boolean", value);
  return field_error(where,
                     "Input should be a valid boolean, unable to interpret input, " + describe_value(value));
}

Result<std::string> parse_string(const Value& value, std::string_view where) {
  if (!value.is_string()) return type_error(where, "a valid string", value);
  return value.as_string();
}

bool is_truthy(const Value* value) {
  if (value == nullptr || value->is_null()) return false;
  if (std::optional<double> number = plain_number(value)) return *number != 0;
  if (value->is_string()) return !value->as_string().empty();
  return value->is_array() ? !value->as_array().empty() : !value->as_object().empty();
}

std::optional<double> plain_number(const Value* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->as_bool() ? 1.0 : 0.0;
  return value->is_number() ? std::optional<double>(value->as_double()) : std::nullopt;
}

}  // namespace pagoda
