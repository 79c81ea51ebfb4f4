#include "jinja/format.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/utf8.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

constexpr int kPrecisionMax = 1000;

// A number as it is about to be padded: sign, prefix such as 0x, and digits.
struct NumberText {
  std::string sign, digits;
};

// The format specification of Python: [[fill]align][sign][#][0][width][grouping][.precision][type].
struct Spec {
  std::string fill = " ";
  char align = '\0', sign = '-', grouping = '\0', type = '\0';
  bool alternate = false;
  int64_t width = 0;
  int precision = -1;
};

std::string float_digits(double number, char type, int precision) {
  char buffer[1500];
  std::chars_format format = type == 'f'   ? std::chars_format::fixed
                             : type == 'e' ? std::chars_format::scientific
                                           : std::chars_format::general;
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, number, format, precision);
  return error == std::errc() ? std::string(buffer, end) : std::string("?");
}

std::string integer_digits(int64_t number, int base) {
  char buffer[72];
  uint64_t magnitude = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, magnitude, base).ptr);
}

void to_capitals(std::string* text) {
  for (char& c : *text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
}

// Digits of a float for the types e f g % and their capitals; nan and inf in words.
NumberText format_float(double number, char type, int precision, bool alternate) {
  bool capitals = type == 'E' || type == 'F' || type == 'G';
  char lower = static_cast<char>(type | 32);
  if (type == '%') {
    number *= 100;
    lower = 'f';
  }
  NumberText out;
  if (std::signbit(number) && !std::isnan(number)) out.sign = "-";
  number = std::fabs(number);
  if (std::isnan(number) || std::isinf(number)) {
    out.digits = std::isnan(number) ? "nan" : "inf";
  } else {
    if (precision < 0) precision = 6;
    if (lower == 'g' && precision == 0) precision = 1;
    out.digits = float_digits(number, lower, precision);
    if (alternate && out.digits.find('.') == std::string::npos) out.digits += '.';
  }
  if (capitals) to_capitals(&out.digits);
  if (type == '%') out.digits += '%';
  return out;
}

NumberText format_integer(int64_t number, char type, bool alternate) {
  int base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
  NumberText out;
  if (number < 0) out.sign = "-";
  out.digits = integer_digits(number, base);
  std::string prefix = alternate && base != 10 ? std::string("0") + static_cast<char>(type | 32) : "";
  if (type == 'X') {
    to_capitals(&out.digits);
    to_capitals(&prefix);
  }
  out.sign += prefix;
  return out;
}

void group_digits(std::string* digits, char separator, std::size_t every) {
  std::size_t end = 0;
  while (end < digits->size() && std::isalnum(static_cast<unsigned char>((*digits)[end])) &&
         (every == 4 || is_decimal(static_cast<unsigned char>((*digits)[end]))))
    ++end;
  for (std::size_t at = end; at > every;) digits->insert(at -= every, 1, separator);
}

std::string padded(Budget* budget, std::string_view left, std::string_view right, const Spec& spec,
                   char default_align) {
  char align = spec.align != '\0' ? spec.align : default_align;
  budget->charge_reading(left.size() + right.size());
  int64_t size = count_chars(left) + count_chars(right);
  std::size_t missing = spec.width > size ? static_cast<std::size_t>(spec.width - size) : 0;
  budget->charge_repeat(missing, spec.fill.size());
  std::size_t before = align == '<' || align == '=' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  for (std::size_t i = 0; i < before; ++i) out += spec.fill;
  out += left;
  for (std::size_t i = 0; align == '=' && i < missing; ++i) out += spec.fill;
  out += right;
  for (std::size_t i = before; align != '=' && i < missing; ++i) out += spec.fill;
  return out;
}

bool is_align(char c) {
  return c == '<' || c == '>' || c == '=' || c == '^';
}

int64_t parse_count(std::string_view text, std::size_t* pos) {
  int64_t count = 0;
  while (*pos < text.size() && text[*pos] >= '0' && text[*pos] <= '9') {
    count = count * 10 + (text[(*pos)++] - '0');
    if (count > INT32_MAX) fail("ValueError", "Too many decimal digits in format string");
  }
  return count;
}

int checked_precision(int64_t precision) {
  if (precision > kPrecisionMax)
    fail("LimitError", "a precision of more than " + std::to_string(kPrecisionMax) + " digits");
  return static_cast<int>(precision);
}

Spec parse_spec(std::string_view text) {
  Spec spec;
  std::size_t pos = 0;
  std::size_t first = text.empty() ? 0 : decode_utf8(text, 0).length;
  if (first < text.size() && is_align(text[first])) {
    spec.fill = std::string(text.substr(0, first));
    spec.align = text[first];
    pos = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[pos++];
  }
  auto at = [&](std::string_view wanted) {
    return pos < text.size() && wanted.find(text[pos]) != std::string_view::npos;
  };
  if (at("+- ")) spec.sign = text[pos++];
  if (at("z")) ++pos;
  if (at("#")) spec.alternate = ++pos > 0;
  if (at("0")) {
    if (spec.align == '\0') {
      spec.align = '=';
      spec.fill = "0";
    }
    ++pos;
  }
  spec.width = parse_count(text, &pos);
  if (at(",_")) spec.grouping = text[pos++];
  if (at(".")) {
    ++pos;
    if (!at("0123456789")) fail("ValueError", "Format specifier missing precision");
    spec.precision = checked_precision(parse_count(text, &pos));
  }
  if (pos < text.size()) spec.type = text[pos++];
  if (pos < text.size()) fail("ValueError", "Invalid format specifier " + quoted(text));
  return spec;
}

std::string format_string(Budget* budget, std::string_view text, const Spec& spec) {
  if (spec.type != '\0' && spec.type != 's')
    fail("ValueError", std::string("Unknown format code '") + spec.type + "' for object of type 'str'");
  if (spec.sign != '-') fail("ValueError", "Sign not allowed in string format specifier");
  bool zero_flag = spec.align == '=' && spec.fill == "0";
  if (spec.align == '=' && !zero_flag)
    fail("ValueError", "'=' alignment not allowed in string format specifier");
  Spec aligned = spec;
  if (zero_flag) aligned.align = '<';
  if (spec.precision >= 0) text = text.substr(0, char_offset(text, spec.precision));
  return padded(budget, text, "", aligned, '<');
}

// A float without a type: like repr, or like g with a digit behind the point if a precision is given.
NumberText plain_float(double number, int precision) {
  NumberText out;
  if (precision < 0) {
    out.digits = python_float_repr(number);
    if (out.digits[0] == '-') {
      out.sign = "-";
      out.digits.erase(0, 1);
    }
    return out;
  }
  out = format_float(number, 'g', precision, false);
  if (out.digits.find_first_of(".en") != std::string::npos) return out;
  // Fixed notation must leave room for the digit behind the point.
  if (static_cast<int>(out.digits.size()) >= std::max(precision, 1) && precision > 0 && number != 0)
    return format_float(number, 'e', precision - 1, false);
  out.digits += ".0";
  return out;
}

std::string format_number(Budget* budget, const PyValue& value, const Spec& spec) {
  bool is_float =
      value.is(Kind::kFloat) ||
      (spec.type != '\0' && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos);
  if (spec.type != '\0' &&
      std::string_view(is_float ? "eEfFgG%n" : "bcdoxXn").find(spec.type) == std::string_view::npos)
    fail("ValueError", std::string("Unknown format code '") + spec.type + "' for object of type '" +
                           type_name(value) + "'");
  NumberText number;
  if (spec.type == 'c') {
    if (value.as_int() < 0 || value.as_int() > 0x10FFFF)
      fail("OverflowError", "%c arg not in range(0x110000)");
    append_utf8(&number.digits, static_cast<uint32_t>(value.as_int()));
  } else if (is_float) {
    number = spec.type == '\0' ? plain_float(value.as_double(), spec.precision)
                               : format_float(value.as_double(), spec.type == 'n' ? 'g' : spec.type,
                                              spec.precision, spec.alternate);
  } else {
    if (spec.precision >= 0) fail("ValueError", "Precision not allowed in integer format specifier");
    number = format_integer(value.as_int(), spec.type, spec.alternate);
  }
  if (spec.sign != '-' && !number.sign.starts_with('-')) number.sign.insert(0, 1, spec.sign);
  bool binary_base = spec.type != '\0' && std::string_view("boxX").find(spec.type) != std::string_view::npos;
  if (spec.grouping != '\0') group_digits(&number.digits, spec.grouping, binary_base ? 4 : 3);
  return padded(budget, number.sign, number.digits, spec, '>');
}

}  // namespace

std::string format_fixed(double number, int digits) {
  NumberText text = format_float(number, 'f', digits, false);
  return text.sign + text.digits;
}

std::string format_value(Budget* budget, const PyValue& value, std::string_view text) {
  if (text.empty()) return to_str(budget, value);
  if (value.is_string()) return format_string(budget, value.text(), parse_spec(text));
  if (value.is_undefined()) return format_string(budget, "", parse_spec(text));
  if (value.is_number()) return format_number(budget, value, parse_spec(text));
  fail("TypeError", "unsupported format string passed to " + type_name(value) + ".__format__");
}

namespace {

// The arguments of % in order: those of a tuple, or the one value, which may also be a mapping for %(key)s.
class PercentArguments {
 public:
  explicit PercentArguments(const PyValue& values)
      : values_(values), left_(values.is(Kind::kTuple) ? values.items().size() : 1) {}
  const PyValue& next() {
    if (left_ == 0) fail("TypeError", "not enough arguments for format string");
    std::size_t used = values_.is(Kind::kTuple) ? values_.items().size() - left_ : 0;
    --left_;
    return values_.is(Kind::kTuple) ? values_.items()[used] : values_;
  }
  PyValue key(Budget* budget, std::string_view name) {
    if (!values_.is_dict()) fail("TypeError", "format requires a mapping");
    const PyValue* found = values_.as<DictData>().find(budget, PyValue::string(name));
    if (found == nullptr) fail("KeyError", quoted(name));
    return *found;
  }
  void finish() const {
    bool mapping = values_.is_dict() || values_.is(Kind::kList) || values_.is(Kind::kRange);
    if (left_ > 0 && !mapping) fail("TypeError", "not all arguments converted during string formatting");
  }

 private:
  const PyValue& values_;
  std::size_t left_;
};

struct Percent {
  bool left = false, plus = false, blank = false, zero = false, alternate = false;
  int64_t width = 0;
  int precision = -1;
};

std::string percent_number(Budget* budget, const PyValue& value, char type, const Percent& flags) {
  require_defined(value);
  NumberText number;
  bool is_float = std::string_view("eEfFgG").find(type) != std::string_view::npos;
  bool is_hex = type == 'x' || type == 'X' || type == 'o';
  if (!value.is_number() || (is_hex && !value.is_integral())) {
    if (is_float) fail("TypeError", "must be real number, not " + type_name(value));
    fail("TypeError", std::string("%") + type + " format: " + (is_hex ? "an integer" : "a real number") +
                          " is required, not " + type_name(value));
  }
  if (is_float) {
    number = format_float(value.as_double(), type, flags.precision, flags.alternate);
  } else {
    int64_t integer = value.is_integral() ? value.as_int() : float_to_int(value.as_double());
    number = format_integer(integer, is_hex ? type : 'd', flags.alternate);
    int64_t zeros = flags.precision - static_cast<int64_t>(number.digits.size());
    if (zeros > 0) number.digits.insert(0, static_cast<std::size_t>(zeros), '0');
  }
  if (!number.sign.starts_with('-') && (flags.plus || flags.blank))
    number.sign.insert(0, 1, flags.plus ? '+' : ' ');
  Spec spec;
  spec.width = flags.width;
  spec.align = flags.left ? '<' : flags.zero ? '=' : '>';
  if (spec.align == '=') spec.fill = "0";
  return padded(budget, number.sign, number.digits, spec, '>');
}

std::string percent_text(Budget* budget, const PyValue& value, char type, const Percent& flags) {
  std::string text;
  if (type == 's') {
    text = to_str(budget, value);
  } else if (type == 'c') {
    if (value.is_string() && value.as<StringData>().length() == 1) {
      text = value.text();
    } else {
      if (!value.is_integral()) fail("TypeError", "%c requires int or char");
      if (value.as_int() < 0 || value.as_int() > 0x10FFFF)
        fail("OverflowError", "%c arg not in range(0x110000)");
      append_utf8(&text, static_cast<uint32_t>(value.as_int()));
    }
  } else {
    append_repr(budget, &text, value);
  }
  if (flags.precision >= 0 && type != 'c') text.resize(char_offset(text, flags.precision));
  Spec spec;
  spec.width = flags.width;
  return padded(budget, text, "", spec, flags.left ? '<' : '>');
}

int64_t percent_count(std::string_view text, std::size_t* pos, PercentArguments* arguments) {
  if (*pos >= text.size() || text[*pos] != '*') return parse_count(text, pos);
  ++*pos;
  const PyValue& value = arguments->next();
  if (!value.is_integral()) fail("TypeError", "* wants int");
  return std::clamp<int64_t>(value.as_int(), INT32_MIN, INT32_MAX);
}

// One conversion behind its percent sign.
std::string percent_item(Budget* budget, std::string_view text, std::size_t* pos,
                         PercentArguments* arguments) {
  PyValue value;
  bool has_value = false;
  if (*pos < text.size() && text[*pos] == '(') {
    std::size_t close = text.find(')', *pos);
    if (close == std::string_view::npos) fail("ValueError", "incomplete format key");
    value = arguments->key(budget, text.substr(*pos + 1, close - *pos - 1));
    has_value = true;
    *pos = close + 1;
  }
  Percent flags;
  for (; *pos < text.size() && std::string_view("-+ 0#").find(text[*pos]) != std::string_view::npos; ++*pos) {
    flags.left |= text[*pos] == '-';
    flags.plus |= text[*pos] == '+';
    flags.blank |= text[*pos] == ' ';
    flags.zero |= text[*pos] == '0';
    flags.alternate |= text[*pos] == '#';
  }
  flags.width = percent_count(text, pos, arguments);
  if (flags.width < 0) {
    flags.left = true;
    flags.width = -flags.width;
  }
  if (*pos < text.size() && text[*pos] == '.') {
    ++*pos;
    flags.precision = checked_precision(std::max<int64_t>(percent_count(text, pos, arguments), 0));
  }
  while (*pos < text.size() && std::string_view("hlL").find(text[*pos]) != std::string_view::npos) ++*pos;
  if (*pos >= text.size()) fail("ValueError", "incomplete format");
  char type = text[(*pos)++];
  if (type == '%') return "%";
  if (!has_value) value = arguments->next();
  if (std::string_view("sracd iuoxXeEfFgG").find(type) == std::string_view::npos || type == ' ')
    fail("ValueError", std::string("unsupported format character '") + type + "'");
  if (std::string_view("srac").find(type) != std::string_view::npos)
    return percent_text(budget, value, type, flags);
  return percent_number(budget, value, type, flags);
}

}  // namespace

PyValue percent_format(Budget* budget, const PyValue& format, const PyValue& values) {
  std::string_view text = format.text();
  budget->charge_reading(text.size());
  PercentArguments arguments(values);
  std::string out;
  for (std::size_t pos = 0; pos < text.size();) {
    budget->charge();
    std::size_t percent = std::min(text.find('%', pos), text.size());
    out += text.substr(pos, percent - pos);
    if (percent == text.size()) break;
    pos = percent + 1;
    std::string item = percent_item(budget, text, &pos, &arguments);
    if (format.is_markup()) budget->charge_reading(item.size());
    out += format.is_markup() ? escape_html(item) : item;
    budget->check_bytes(out.size());
  }
  arguments.finish();
  return PyValue::string(std::move(out), format.is_markup());
}

std::string format_time(Budget* budget, std::string_view format, int64_t unix_seconds) {
  time_t seconds = static_cast<time_t>(unix_seconds);
  struct tm parts {};
  if (gmtime_r(&seconds, &parts) == nullptr) fail("ValueError", "the time is out of range");
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    budget->charge();
    if (format[i] != '%' || i + 1 >= format.size()) {
      out += format[i];
      continue;
    }
    std::string directive{'%', format[++i]};
    if (directive[1] == '-' && i + 1 < format.size()) directive += format[++i];
    if (directive == "%f") {
      out += "000000";
    } else if (directive != "%z" && directive != "%Z") {  // the time is naive: no zone
      char buffer[128];
      out.append(buffer, strftime(buffer, sizeof buffer, directive.c_str(), &parts));
    }
    budget->check_bytes(out.size());
  }
  return out;
}

}  // namespace pagoda::jinja
