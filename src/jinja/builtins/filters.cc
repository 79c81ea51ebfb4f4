// Filters of single values, and what several filters share.
#include "jinja/builtins/filters.h"

#include <algorithm>
#include <cmath>

#include "jinja/arguments.h"
#include "jinja/eval.h"
#include "jinja/format.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace pagoda::jinja {

PyValue soft_string(Interpreter& interpreter, const PyValue& value) {
  return value.is_string() ? value : PyValue::string(interpreter.str(value));
}

PyValue fold_case(Budget* budget, const PyValue& value) {
  if (!value.is_string()) return value;
  budget->charge(static_cast<int64_t>(value.text().size() / 2));  // a table look-up per character
  return PyValue::string(to_lower(value.text()));
}

PyValue get_path(Interpreter& interpreter, const PyValue& item, const PyValue& attribute) {
  if (!attribute.is_string()) return get_item(&interpreter.budget(), item, attribute);
  PyValue value = item;
  std::string_view path = attribute.text();
  interpreter.budget().charge_reading(path.size());
  while (true) {
    std::size_t dot = path.find('.');
    std::string_view part = path.substr(0, dot);
    int64_t index = 0;
    bool digits =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    PyValue key = digits && parse_int(part, 10, &index) ? PyValue::integer(index) : PyValue::string(part);
    value = get_item(&interpreter.budget(), value, key);
    if (dot == std::string_view::npos) return value;
    path.remove_prefix(dot + 1);
  }
}

namespace {

PyValue filter_default(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("default", arguments, {"default_value", "boolean"});
  if (!value.is_undefined() && !(bound.truth(1, false) && !truthy(value))) return value;
  return bound.has(0) ? bound[0] : PyValue::string("");
}

PyValue filter_length(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("length", arguments, {});
  return PyValue::integer(length_of(value));
}

PyValue filter_string(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("string", arguments, {});
  return soft_string(interpreter, value);
}

PyValue filter_safe(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("safe", arguments, {});
  return PyValue::string(interpreter.str(value), true);
}

PyValue escape_text(Interpreter& interpreter, const PyValue& value) {
  std::string text = interpreter.str(value);
  interpreter.budget().charge_repeat(text.size(), 5);
  return PyValue::string(escape_html(text), true);
}

PyValue filter_escape(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("escape", arguments, {});
  return value.is_markup() ? value : escape_text(interpreter, value);
}

PyValue filter_forceescape(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("forceescape", arguments, {});
  return escape_text(interpreter, value);
}

PyValue filter_attr(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("attr", arguments, {"name"}, 1);
  // Attributes proper: the keys of a dict are not.
  PyValue found = get_attribute(&interpreter.budget(), value, interpreter.str(bound[0]));
  bool from_key = value.is_dict() && bound[0].is_string() && !found.is(Kind::kObject);
  return from_key && !found.is_undefined() ? undefined_member(value, bound[0].text()) : found;
}

PyValue filter_abs(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("abs", arguments, {});
  if (value.is(Kind::kFloat)) return PyValue::real(std::fabs(value.as_double()));
  if (value.is_integral()) return value.as_int() < 0 ? negate(value) : plus(value);
  require_defined(value);
  fail("TypeError", "bad operand type for abs(): '" + type_name(value) + "'");
}

// int(value), or int(float(value)), or the default.
PyValue filter_int(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("int", arguments, {"default", "base"});
  PyValue fallback = bound.has(0) ? bound[0] : PyValue::integer(0);
  require_defined(value);
  if (value.is_integral()) return PyValue::integer(value.as_int());
  double number = 0;
  if (value.is_string()) {
    int64_t parsed = 0;
    if (parse_int(value.text(), static_cast<int>(std::clamp<int64_t>(bound.integer(1, 10), -1, 99)), &parsed))
      return PyValue::integer(parsed);
    if (!parse_float(value.text(), &number)) return fallback;
  } else if (value.is(Kind::kFloat)) {
    number = value.as_double();
  } else {
    return fallback;
  }
  if (!std::isfinite(number)) {
    if (value.is(Kind::kFloat) && std::isinf(number))
      fail("OverflowError", "cannot convert float infinity to integer");
    return fallback;
  }
  return PyValue::integer(float_to_int(number));
}

PyValue filter_float(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("float", arguments, {"default"});
  require_defined(value);
  if (value.is_number()) return PyValue::real(value.as_double());
  double number = 0;
  if (value.is_string() && parse_float(value.text(), &number)) return PyValue::real(number);
  return bound.has(0) ? bound[0] : PyValue::real(0.0);
}

// Halves go to the even neighbour, decided on the decimal digits of the exact value.
double round_digits(double number, int64_t digits) {
  if (!std::isfinite(number) || digits > 300) return number;
  if (digits < -300) return std::copysign(0.0, number);
  if (digits >= 0) {
    double rounded = 0;
    parse_float(format_fixed(number, static_cast<int>(digits)), &rounded);
    return rounded;
  }
  double power = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(number / power) * power;
}

PyValue filter_round(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("round", arguments, {"precision", "method"});
  int64_t precision = bound.integer(0, 0);
  std::string method = bound.string(1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    fail("FilterArgumentError", "method must be common, ceil or floor");
  require_defined(value);
  if (!value.is_number()) fail("TypeError", "type " + type_name(value) + " doesn't define __round__ method");
  if (method == "common") {
    if (value.is_integral() && precision >= 0) return PyValue::integer(value.as_int());
    double rounded = round_digits(value.as_double(), precision);
    return value.is_integral() ? PyValue::integer(float_to_int(rounded)) : PyValue::real(rounded);
  }
  double power = std::pow(10.0, static_cast<double>(precision));
  double scaled = value.as_double() * power;
  return PyValue::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power);
}

PyValue filter_filesizeformat(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("filesizeformat", arguments, {"binary"});
  bool binary = bound.truth(0, false);
  double bytes = 0;
  require_defined(value);
  if (value.is_number())
    bytes = value.as_double();
  else if (!value.is_string() || !parse_float(value.text(), &bytes))
    fail("ValueError", "could not convert to float: " + type_name(value));
  if (bytes == 1) return PyValue::string("1 Byte");
  double base = binary ? 1024 : 1000, unit = base;
  if (bytes < base) return PyValue::string(std::to_string(static_cast<int64_t>(bytes)) + " Bytes");
  std::string prefix;
  for (char letter : std::string("kMGTPEZY")) {
    unit *= base;
    prefix = std::string(1, binary && letter == 'k' ? 'K' : letter) + (binary ? "iB" : "B");
    if (bytes < unit) break;
  }
  return PyValue::string(format_fixed(base * bytes / unit, 1) + " " + prefix);
}

constexpr Registry<Filter>::Entry kFilters[] = {
    {"abs", filter_abs},         {"attr", filter_attr},
    {"count", filter_length},    {"d", filter_default},
    {"default", filter_default}, {"e", filter_escape},
    {"escape", filter_escape},   {"filesizeformat", filter_filesizeformat},
    {"float", filter_float},     {"forceescape", filter_forceescape},
    {"int", filter_int},         {"length", filter_length},
    {"round", filter_round},     {"safe", filter_safe},
    {"string", filter_string},   {"tojson", filter_tojson},
};

}  // namespace

const Registry<Filter>& filters() {
  static const Registry<Filter> registry = {kFilters, text_filters(), sequence_filters(), lazy_filters()};
  return registry;
}

}  // namespace pagoda::jinja
