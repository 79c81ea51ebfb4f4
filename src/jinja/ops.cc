#include "jinja/ops.h"

#include <charconv>
#include <cmath>

#include "jinja/builtins/methods.h"
#include "jinja/format.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

const char* symbol(BinaryOp op) {
  static constexpr const char* kSymbols[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};
  return kSymbols[static_cast<int>(op)];
}

[[noreturn]] void unsupported(BinaryOp op, const PyValue& a, const PyValue& b) {
  require_defined(a);
  require_defined(b);
  fail("TypeError", std::string("unsupported operand type(s) for ") + symbol(op) + ": '" + type_name(a) +
                        "' and '" + type_name(b) + "'");
}

[[noreturn]] void overflow() {
  fail("OverflowError", "an integer does not fit into 64 bits");
}

[[noreturn]] void zero_division(const char* what) {
  fail("ZeroDivisionError", what);
}

PyValue integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) zero_division("0.0 cannot be raised to a negative power");
    return PyValue::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) overflow();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return PyValue::integer(result);
}

PyValue integer_binary(BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOp::kAdd:
      if (__builtin_add_overflow(a, b, &result)) overflow();
      return PyValue::integer(result);
    case BinaryOp::kSub:
      if (__builtin_sub_overflow(a, b, &result)) overflow();
      return PyValue::integer(result);
    case BinaryOp::kMul:
      if (__builtin_mul_overflow(a, b, &result)) overflow();
      return PyValue::integer(result);
    case BinaryOp::kDiv:
      if (b == 0) zero_division("division by zero");
      return PyValue::real(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    case BinaryOp::kFloorDiv:
    case BinaryOp::kMod: {
      if (b == 0)
        zero_division(op == BinaryOp::kMod ? "integer modulo by zero" : "integer division or modulo by zero");
      if (b == -1) return op == BinaryOp::kMod ? PyValue::integer(0) : integer_binary(BinaryOp::kSub, 0, a);
      int64_t quotient = a / b, rest = a % b;
      bool floor_down = rest != 0 && (rest < 0) != (b < 0);
      return PyValue::integer(op == BinaryOp::kMod ? rest + (floor_down ? b : 0) : quotient - floor_down);
    }
    case BinaryOp::kPow:
      return integer_power(a, b);
  }
  return {};
}

double float_mod(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0) return (rest < 0) != (b < 0) ? rest + b : rest;
  return std::copysign(0.0, b);
}

double float_floor_div(double a, double b) {
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

PyValue float_power(double a, double b) {
  if (a == 0 && b < 0) zero_division("0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(b) && b != std::floor(b)) fail("TypeError", "complex numbers are not supported");
  double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
    fail("OverflowError", "Numerical result out of range");
  return PyValue::real(result);
}

PyValue float_binary(BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return PyValue::real(a + b);
    case BinaryOp::kSub:
      return PyValue::real(a - b);
    case BinaryOp::kMul:
      return PyValue::real(a * b);
    case BinaryOp::kDiv:
      if (b == 0) zero_division("float division by zero");
      return PyValue::real(a / b);
    case BinaryOp::kFloorDiv:
      if (b == 0) zero_division("float floor division by zero");
      return PyValue::real(float_floor_div(a, b));
    case BinaryOp::kMod:
      if (b == 0) zero_division("float modulo");
      return PyValue::real(float_mod(a, b));
    case BinaryOp::kPow:
      return float_power(a, b);
  }
  return {};
}

PyValue add_strings(Budget* budget, const PyValue& a, const PyValue& b) {
  bool markup = a.is_markup() || b.is_markup();
  if (markup) budget->charge_reading(a.text().size() + b.text().size());
  std::string left = markup && !a.is_markup() ? escape_html(a.text()) : std::string();
  std::string right = markup && !b.is_markup() ? escape_html(b.text()) : std::string();
  const std::string& x = markup && !a.is_markup() ? left : a.text();
  const std::string& y = markup && !b.is_markup() ? right : b.text();
  budget->check_bytes(x.size() + y.size());
  std::string out;
  out.reserve(x.size() + y.size());
  out.append(x).append(y);
  return PyValue::string(std::move(out), markup);
}

PyValue add_sequences(Budget* budget, const PyValue& a, const PyValue& b) {
  budget->charge(static_cast<int64_t>(a.items().size() + b.items().size()));
  std::vector<PyValue> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is(Kind::kList) ? PyValue::list(std::move(items)) : PyValue::tuple(std::move(items));
}

PyValue repeat(Budget* budget, const PyValue& value, int64_t count) {
  std::size_t times = count < 0 ? 0 : static_cast<std::size_t>(count);
  if (value.is_string()) {
    budget->charge_repeat(times, value.text().size());
    std::string out;
    out.reserve(times * value.text().size());
    if (!value.text().empty())
      for (std::size_t i = 0; i < times; ++i) out += value.text();
    return PyValue::string(std::move(out), value.is_markup());
  }
  budget->charge_repeat(times, value.items().size() * 32);
  std::vector<PyValue> items;
  if (!value.items().empty())
    for (std::size_t i = 0; i < times; ++i)
      items.insert(items.end(), value.items().begin(), value.items().end());
  return value.is(Kind::kList) ? PyValue::list(std::move(items)) : PyValue::tuple(std::move(items));
}

bool repeatable(const PyValue& value) {
  return value.is_string() || value.is_sequence();
}

PyValue add(Budget* budget, const PyValue& a, const PyValue& b) {
  if (a.is_string() && b.is_string()) return add_strings(budget, a, b);
  if (a.is_sequence() && a.kind() == b.kind()) return add_sequences(budget, a, b);
  if (repeatable(a) && !b.is_undefined()) {
    std::string type = a.is_string() ? "str" : type_name(a);
    fail("TypeError", "can only concatenate " + type + " (not \"" + type_name(b) + "\") to " + type);
  }
  unsupported(BinaryOp::kAdd, a, b);
}

}  // namespace

PyValue binary(Budget* budget, BinaryOp op, const PyValue& a, const PyValue& b) {
  if (a.is_integral() && b.is_integral()) return integer_binary(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return float_binary(op, a.as_double(), b.as_double());
  if (op == BinaryOp::kAdd) return add(budget, a, b);
  if (op == BinaryOp::kMul) {
    if (repeatable(a) && b.is_integral()) return repeat(budget, a, b.as_int());
    if (a.is_integral() && repeatable(b)) return repeat(budget, b, a.as_int());
    const PyValue& other = repeatable(a) ? b : a;
    if ((repeatable(a) || repeatable(b)) && !other.is_undefined())
      fail("TypeError", "can't multiply sequence by non-int of type '" + type_name(other) + "'");
  }
  if (op == BinaryOp::kMod && a.is_string()) return percent_format(budget, a, b);
  unsupported(op, a, b);
}

PyValue negate(const PyValue& value) {
  if (value.is_integral()) return integer_binary(BinaryOp::kSub, 0, value.as_int());
  if (value.is(Kind::kFloat)) return PyValue::real(-value.as_double());
  require_defined(value);
  fail("TypeError", "bad operand type for unary -: '" + type_name(value) + "'");
}

PyValue plus(const PyValue& value) {
  if (value.is_integral()) return PyValue::integer(value.as_int());
  if (value.is(Kind::kFloat)) return value;
  require_defined(value);
  fail("TypeError", "bad operand type for unary +: '" + type_name(value) + "'");
}

bool contains(Budget* budget, const PyValue& haystack, const PyValue& needle) {
  switch (haystack.kind()) {
    case Kind::kString:
      if (!needle.is_string())
        fail("TypeError", "'in <string>' requires string as left operand, not " + type_name(needle));
      budget->charge_reading(haystack.text().size() + needle.text().size());
      return find_text(haystack.text(), needle.text()) != std::string::npos;
    case Kind::kDict:
      return haystack.as<DictData>().find(budget, needle) != nullptr;
    case Kind::kUndefined:
      if (haystack.as<UndefinedData>().unsafe) fail_undefined(haystack);
      return false;
    default:
      break;
  }
  if (!is_iterable(haystack))
    fail("TypeError", "argument of type '" + type_name(haystack) + "' is not iterable");
  Cursor cursor(haystack);
  for (PyValue item; cursor.next(&item);)
    if (equals(budget, item, needle)) return true;
  return false;
}

namespace {

bool element(const PyValue& object, int64_t index, PyValue* value) {
  int64_t size = length_of(object);
  if (index < 0) index += size;
  if (index < 0 || index >= size) return false;
  switch (object.kind()) {
    case Kind::kRange:
      *value = PyValue::integer(object.as<RangeData>().at(index));
      return true;
    case Kind::kString: {
      std::string_view text = object.text();
      if (object.as<StringData>().is_ascii()) {
        *value = PyValue::string(text.substr(static_cast<std::size_t>(index), 1));
      } else {
        std::size_t begin = char_offset(text, index);
        *value = PyValue::string(text.substr(begin, char_offset(text.substr(begin), 1)));
      }
      return true;
    }
    default:
      *value = object.items()[static_cast<std::size_t>(index)];
      return true;
  }
}

bool indexable(const PyValue& value) {
  return value.is_sequence() || value.is_string() || value.is(Kind::kRange);
}

// Positions of a slice of `size` elements, as slice.indices() of Python gives them.
struct SliceIndices {
  int64_t start, step, count;
};

int64_t slice_bound(const PyValue& value, int64_t fallback, int64_t low, int64_t high, int64_t size) {
  if (value.is_none()) return fallback;
  if (!value.is_integral()) {
    require_defined(value);
    fail("TypeError", "slice indices must be integers or None or have an __index__ method");
  }
  int64_t index = value.as_int();
  if (index < 0) index = index < -size ? low : index + size;
  return std::min(std::max(index, low), high);
}

SliceIndices slice_indices(int64_t size, const PyValue& start, const PyValue& stop, const PyValue& step) {
  int64_t by = 1;
  if (!step.is_none()) {
    if (!step.is_integral()) {
      require_defined(step);
      fail("TypeError", "slice indices must be integers or None or have an __index__ method");
    }
    by = step.as_int();
    if (by == 0) fail("ValueError", "slice step cannot be zero");
    by = std::min(std::max(by, -size - 1), size + 1);
    if (by == 0) by = 1;
  }
  int64_t low = by < 0 ? -1 : 0, high = by < 0 ? size - 1 : size;
  int64_t from = slice_bound(start, by < 0 ? high : low, low, high, size);
  int64_t to = slice_bound(stop, by < 0 ? low : high, low, high, size);
  int64_t distance = by < 0 ? from - to : to - from, stride = by < 0 ? -by : by;
  return {from, by, distance <= 0 ? 0 : (distance + stride - 1) / stride};
}

PyValue slice_string(Budget* budget, const PyValue& object, const SliceIndices& at) {
  std::string_view text = object.text();
  if (at.step == 1) {
    std::size_t begin = static_cast<std::size_t>(at.start), size = static_cast<std::size_t>(at.count);
    if (!object.as<StringData>().is_ascii()) {
      budget->charge_reading(text.size());
      begin = char_offset(text, at.start);
      size = char_offset(text.substr(begin), at.count);
    }
    return PyValue::string(std::string(text.substr(std::min(begin, text.size()), size)), object.is_markup());
  }
  budget->charge(static_cast<int64_t>(text.size()));
  std::vector<uint32_t> begins;  // of the characters, in bytes
  for_each_char(text,
                [&](std::size_t begin, std::string_view) { begins.push_back(static_cast<uint32_t>(begin)); });
  begins.push_back(static_cast<uint32_t>(text.size()));
  std::string out;
  for (int64_t i = 0; i < at.count; ++i) {
    auto place = static_cast<std::size_t>(at.start + at.step * i);
    out += text.substr(begins[place], begins[place + 1] - begins[place]);
  }
  return PyValue::string(std::move(out), object.is_markup());
}

}  // namespace

PyValue slice(Budget* budget, const PyValue& object, const PyValue& start, const PyValue& stop,
              const PyValue& step) {
  require_defined(object);
  if (!indexable(object)) {
    if (object.is_dict()) fail("TypeError", "unhashable type: 'slice'");
    fail("TypeError", "'" + type_name(object) + "' object is not subscriptable");
  }
  SliceIndices at = slice_indices(length_of(object), start, stop, step);
  if (object.is_string()) return slice_string(budget, object, at);
  budget->charge(at.count);
  if (object.is(Kind::kRange)) {
    const auto& range = object.as<RangeData>();
    auto part = std::make_shared<RangeData>();
    part->start = range.at(at.start);
    part->step = static_cast<int64_t>(static_cast<uint64_t>(range.step) * static_cast<uint64_t>(at.step));
    part->size = at.count;
    part->stop = part->at(at.count);
    return PyValue::of(Kind::kRange, std::move(part));
  }
  std::vector<PyValue> items;
  items.reserve(static_cast<std::size_t>(at.count));
  for (int64_t i = 0; i < at.count; ++i)
    items.push_back(object.items()[static_cast<std::size_t>(at.start + at.step * i)]);
  return object.is(Kind::kList) ? PyValue::list(std::move(items)) : PyValue::tuple(std::move(items));
}

bool subscript(Budget* budget, const PyValue& object, const PyValue& key, PyValue* value) {
  require_defined(object);
  if (object.is_dict()) {
    if (!hashable(budget, key)) return false;
    const PyValue* found = object.as<DictData>().find(budget, key);
    if (found != nullptr) *value = *found;
    return found != nullptr;
  }
  if (!key.is_integral() || !indexable(object)) return false;
  if (object.is_string() && !object.as<StringData>().is_ascii()) budget->charge_reading(object.text().size());
  return element(object, key.as_int(), value);
}

namespace {

bool modifies(const PyValue& object, std::string_view name) {
  static constexpr std::string_view kList[] = {"append", "clear", "pop",    "reverse",
                                               "insert", "sort",  "extend", "remove"};
  static constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (object.is(Kind::kList))
    for (std::string_view known : kList)
      if (known == name) return true;
  if (object.is_dict())
    for (std::string_view known : kDict)
      if (known == name) return true;
  return false;
}

// What getattr() of Python finds: methods, attributes of the interpreter's own objects, and what is refused.
bool python_attribute(Budget* budget, const PyValue& object, std::string_view name, PyValue* value) {
  if (object.is(Kind::kNamespace)) {
    const PyValue* found = object.as<NamespaceData>().find(budget, name);
    if (found != nullptr) *value = *found;
    return found != nullptr;
  }
  if (object.is(Kind::kObject)) return object.as<ObjectData>().attribute(name, value);
  if (modifies(object, name)) {
    *value = unsafe_attribute(object, name);
    return true;
  }
  if (object.is(Kind::kTuple) && object.as<SequenceData>().group && (name == "grouper" || name == "list")) {
    *value = object.items()[name == "list"];
    return true;
  }
  if (find_method(object, name) != nullptr) {
    *value = bind_method(object, name);
    return true;
  }
  return false;
}

bool is_dunder(std::string_view name) {
  return name.size() > 4 && name.starts_with("__") && name.ends_with("__");
}

}  // namespace

PyValue get_item(Budget* budget, const PyValue& object, const PyValue& key) {
  PyValue value;
  budget->charge();
  if (key.is_string()) budget->charge_reading(key.text().size());
  if (subscript(budget, object, key, &value)) return value;
  if (key.is_string() && python_attribute(budget, object, key.text(), &value)) return value;
  if (key.is_string() && is_dunder(key.text())) return unsafe_attribute(object, key.text());
  return undefined_element(object, key);
}

PyValue get_attribute(Budget* budget, const PyValue& object, std::string_view name) {
  require_defined(object);
  budget->charge_reading(name.size());
  PyValue value;
  if (python_attribute(budget, object, name, &value)) return value;
  if (object.is_dict())
    if (const PyValue* found = object.as<DictData>().find(budget, name)) return *found;
  return is_dunder(name) ? unsafe_attribute(object, name) : undefined_member(object, name);
}

bool parse_int(std::string_view text, int base, int64_t* number) {
  text = strip_space(text, true, true);
  std::string digits;
  bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  auto prefixed = [&](char letter) { return text.size() > 2 && text[0] == '0' && (text[1] | 32) == letter; };
  int named = prefixed('x') ? 16 : prefixed('o') ? 8 : prefixed('b') ? 2 : 0;
  if (named != 0 && (base == 0 || base == named)) {
    text.remove_prefix(2);
    base = named;
    if (text[0] == '_') text.remove_prefix(1);
  } else if (base == 0) {
    base = 10;
  }
  if (base < 2 || base > 36) return false;
  if (negative) digits = "-";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_' && i > 0 && i + 1 < text.size() && text[i - 1] != '_') continue;
    digits += text[i];
  }
  if (digits.size() == (negative ? 1u : 0u) || (text[0] == '-' || text[0] == '+')) return false;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number, base);
  if (end != digits.data() + digits.size()) return false;
  if (error == std::errc::result_out_of_range) overflow();
  return error == std::errc();
}

bool parse_float(std::string_view text, double* number) {
  text = strip_space(text, true, true);
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
    if (text[i] == '_' && i > 0 && digit(i - 1) && digit(i + 1)) continue;
    digits += text[i];
  }
  bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) digits.erase(0, 1);
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return false;
  if (digits.find('(') != std::string::npos) return false;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
  if (end != digits.data() + digits.size()) return false;
  if (error == std::errc::result_out_of_range)
    *number = digits.find("e-") != std::string::npos ? 0.0 : HUGE_VAL;
  if (negative) *number = -*number;
  return true;
}

int64_t float_to_int(double number) {
  if (std::isnan(number)) fail("ValueError", "cannot convert float NaN to integer");
  if (std::isinf(number)) fail("OverflowError", "cannot convert float infinity to integer");
  if (number >= 0x1p63 || number < -0x1p63) overflow();
  return static_cast<int64_t>(number);
}

}  // namespace pagoda::jinja
