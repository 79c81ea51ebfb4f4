// The tests behind `is`, also by name for select and its kin.
#include "jinja/builtins/tests.h"

#include <algorithm>

#include "base/utf8.h"
#include "jinja/arguments.h"
#include "jinja/builtins/filters.h"
#include "jinja/eval.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

using Predicate = bool (*)(const PyValue&);

template <Predicate kPredicate>
bool plain(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("test", arguments, {});
  return kPredicate(value);
}

bool is_defined(const PyValue& value) {
  return !value.is_undefined();
}
bool is_undefined(const PyValue& value) {
  return value.is_undefined();
}
bool is_none(const PyValue& value) {
  return value.is_none();
}
bool is_boolean(const PyValue& value) {
  return value.is(Kind::kBool);
}
bool is_true(const PyValue& value) {
  return value.is(Kind::kBool) && value.as_bool();
}
bool is_false(const PyValue& value) {
  return value.is(Kind::kBool) && !value.as_bool();
}
bool is_integer(const PyValue& value) {
  return value.is(Kind::kInt);
}
bool is_float(const PyValue& value) {
  return value.is(Kind::kFloat);
}
bool is_number(const PyValue& value) {
  return value.is_number();
}
bool is_string(const PyValue& value) {
  return value.is_string();
}
bool is_mapping(const PyValue& value) {
  return value.is_dict();
}
bool is_escaped(const PyValue& value) {
  return value.is_markup();
}
bool is_callable(const PyValue& value) {
  return value.is_undefined() || (value.is(Kind::kObject) && value.as<ObjectData>().callable());
}
bool is_walkable(const PyValue& value) {
  return is_iterable(value);
}
// Has a length and positions or keys. Undefined has both, by way of its error-raising members being refused
// here.
bool is_sequence(const PyValue& value) {
  return value.is_string() || value.is_sequence() || value.is_dict() || value.is(Kind::kRange) ||
         value.is_undefined();
}

template <int kWanted>
bool remainder_of_two(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("test", arguments, {});
  PyValue rest = binary(&interpreter.budget(), BinaryOp::kMod, value, PyValue::integer(2));
  return equals(&interpreter.budget(), rest, PyValue::integer(kWanted));
}

bool divisible_by(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("divisibleby", arguments, {"num"}, 1);
  PyValue rest = binary(&interpreter.budget(), BinaryOp::kMod, value, bound[0]);
  return equals(&interpreter.budget(), rest, PyValue::integer(0));
}

template <bool kUpper>
bool has_case(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("test", arguments, {});
  bool wanted = false;
  std::string text = interpreter.str(value);
  interpreter.budget().charge(static_cast<int64_t>(text.size()));
  for (std::size_t i = 0; i < text.size();) {
    Utf8Char c = decode_utf8(text, i);
    i += c.length;
    if (kUpper ? is_lower(c.code_point) : is_upper(c.code_point)) return false;
    wanted |= kUpper ? is_upper(c.code_point) : is_lower(c.code_point);
  }
  return wanted;
}

bool names_filter(Interpreter&, const PyValue& value, Arguments&) {
  return value.is_string() && filters().find(value.text()) != nullptr;
}
bool names_test(Interpreter&, const PyValue& value, Arguments&) {
  return value.is_string() && tests().find(value.text()) != nullptr;
}

bool same_as(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("sameas", arguments, {"other"}, 1);
  const PyValue& other = bound[0];
  if (value.kind() != other.kind()) return false;
  if (value.is(Kind::kFloat)) return value.as_double() == other.as_double();
  if (value.is_integral() || value.is_none()) return value.as_int() == other.as_int();
  return value.heap() == other.heap() || (value.is_string() && value.text() == other.text());
}

bool is_in(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("in", arguments, {"seq"}, 1);
  return contains(&interpreter.budget(), bound[0], value);
}

template <bool kEqual>
bool is_equal(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("eq", arguments, {"other"}, 1);
  return equals(&interpreter.budget(), value, bound[0]) == kEqual;
}

template <Order kOrder>
bool is_ordered(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("test", arguments, {"other"}, 1);
  return compare(&interpreter.budget(), kOrder, value, bound[0]);
}

constexpr Registry<Test>::Entry kTests[] = {
    {"!=", is_equal<false>},
    {"<", is_ordered<Order::kLess>},
    {"<=", is_ordered<Order::kLessEqual>},
    {"==", is_equal<true>},
    {">", is_ordered<Order::kGreater>},
    {">=", is_ordered<Order::kGreaterEqual>},
    {"boolean", Test::constant(plain<is_boolean>)},
    {"callable", Test::constant(plain<is_callable>)},
    {"defined", Test::constant(plain<is_defined>)},
    {"divisibleby", divisible_by},
    {"eq", is_equal<true>},
    {"equalto", is_equal<true>},
    {"escaped", Test::constant(plain<is_escaped>)},
    {"even", remainder_of_two<0>},
    {"false", Test::constant(plain<is_false>)},
    {"filter", names_filter},
    {"float", Test::constant(plain<is_float>)},
    {"ge", is_ordered<Order::kGreaterEqual>},
    {"greaterthan", is_ordered<Order::kGreater>},
    {"gt", is_ordered<Order::kGreater>},
    {"in", is_in},
    {"integer", Test::constant(plain<is_integer>)},
    {"iterable", Test::constant(plain<is_walkable>)},
    {"le", is_ordered<Order::kLessEqual>},
    {"lessthan", is_ordered<Order::kLess>},
    {"lower", has_case<false>},
    {"lt", is_ordered<Order::kLess>},
    {"mapping", Test::constant(plain<is_mapping>)},
    {"ne", is_equal<false>},
    {"none", Test::constant(plain<is_none>)},
    {"number", Test::constant(plain<is_number>)},
    {"odd", remainder_of_two<1>},
    {"sameas", same_as},
    {"sequence", Test::constant(plain<is_sequence>)},
    {"string", Test::constant(plain<is_string>)},
    {"test", names_test},
    {"true", Test::constant(plain<is_true>)},
    {"undefined", Test::constant(plain<is_undefined>)},
    {"upper", has_case<true>},
};

}  // namespace

const Registry<Test>& tests() {
  static const Registry<Test> registry = {kTests};
  return registry;
}

}  // namespace pagoda::jinja
