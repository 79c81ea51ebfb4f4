// Equality, order, str() and repr() of the template language's values.
#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "jinja/text.h"
#include "jinja/value.h"

namespace pagoda::jinja {
namespace {

// Holds every int64 and every double exactly.
long double exact(const PyValue& value) {
  return value.is(Kind::kFloat) ? static_cast<long double>(value.as_double())
                                : static_cast<long double>(value.as_int());
}

bool equal_items(Budget* budget, const std::vector<PyValue>& a, const std::vector<PyValue>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!equals(budget, a[i], b[i])) return false;
  return true;
}

bool equal_dicts(Budget* budget, const DictData& a, const DictData& b) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const DictData::Entry& entry : a.entries()) {
    const PyValue* other = b.find(budget, entry.first);
    if (other == nullptr || !equals(budget, entry.second, *other)) return false;
  }
  return true;
}

bool equal_ranges(const RangeData& a, const RangeData& b) {
  if (a.size != b.size) return false;
  return a.size == 0 || (a.start == b.start && (a.size == 1 || a.step == b.step));
}

template <class T>
bool ordered(Order order, const T& a, const T& b) {
  switch (order) {
    case Order::kLess:
      return a < b;
    case Order::kLessEqual:
      return a <= b;
    case Order::kGreater:
      return a > b;
    default:
      return a >= b;
  }
}

const char* symbol(Order order) {
  switch (order) {
    case Order::kLess:
      return "<";
    case Order::kLessEqual:
      return "<=";
    case Order::kGreater:
      return ">";
    default:
      return ">=";
  }
}

}  // namespace

bool equals(Budget* budget, const PyValue& a, const PyValue& b) {
  budget->charge();
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    return exact(a) == exact(b);
  }
  if (a.kind() != b.kind()) return false;
  if (a.heap() == b.heap() && !a.is_number()) return true;
  switch (a.kind()) {
    case Kind::kUndefined:
      return true;
    case Kind::kString:
      if (a.text().size() != b.text().size()) return false;
      budget->charge_scan(a.text().size());
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple:
      return equal_items(budget, a.items(), b.items());
    case Kind::kDict:
      return equal_dicts(budget, a.as<DictData>(), b.as<DictData>());
    case Kind::kRange:
      return equal_ranges(a.as<RangeData>(), b.as<RangeData>());
    default:
      return false;
  }
}

bool hashable(Budget* budget, const PyValue& value) {
  budget->charge();
  if (value.is(Kind::kList) || value.is_dict() || value.is(Kind::kDictView)) return false;
  if (!value.is(Kind::kTuple)) return true;
  for (const PyValue& item : value.items())
    if (!hashable(budget, item)) return false;
  return true;
}

bool compare(Budget* budget, Order order, const PyValue& a, const PyValue& b) {
  budget->charge();
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return ordered(order, a.as_int(), b.as_int());
    return ordered(order, exact(a), exact(b));
  }
  // Byte order of UTF-8 is code point order.
  if (a.is_string() && b.is_string()) {
    budget->charge_scan(std::min(a.text().size(), b.text().size()));
    return ordered(order, a.text().compare(b.text()), 0);
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const auto &x = a.items(), &y = b.items();
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i)
      if (!equals(budget, x[i], y[i])) return compare(budget, order, x[i], y[i]);
    return ordered(order, x.size(), y.size());
  }
  require_defined(a);
  require_defined(b);
  fail("TypeError", std::string("'") + symbol(order) + "' not supported between instances of '" +
                        type_name(a) + "' and '" + type_name(b) + "'");
}

namespace {

void append_items(Budget* budget, std::string* out, const std::vector<PyValue>& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) *out += ", ";
    append_repr(budget, out, items[i]);
  }
}

void append_dict(Budget* budget, std::string* out, const DictData& dict) {
  *out += '{';
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!first) *out += ", ";
    first = false;
    append_repr(budget, out, key);
    *out += ": ";
    append_repr(budget, out, value);
  }
  *out += '}';
}

void append_view(Budget* budget, std::string* out, const DictViewData& view) {
  *out += type_name(PyValue::of(Kind::kDictView, std::make_shared<DictViewData>(view))) + "([";
  for (std::size_t i = 0; i < view.dict->entries().size(); ++i) {
    if (i > 0) *out += ", ";
    append_repr(budget, out, view.at(i));
  }
  *out += "])";
}

void append_range(std::string* out, const RangeData& range) {
  *out += "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
  if (range.step != 1) *out += ", " + std::to_string(range.step);
  *out += ')';
}

void append_namespace(Budget* budget, std::string* out, const NamespaceData& ns) {
  *out += "<Namespace {";
  bool first = true;
  for (const auto& [key, value] : ns.attributes) {
    if (!first) *out += ", ";
    first = false;
    budget->charge_reading(key.size());
    append_repr(out, key);
    *out += ": ";
    append_repr(budget, out, value);
  }
  *out += "}>";
}

}  // namespace

void append_repr(Budget* budget, std::string* out, const PyValue& value) {
  Budget::Nest nest(budget, 1);
  budget->charge();
  budget->check_bytes(out->size());
  switch (value.kind()) {
    case Kind::kUndefined:
      *out += "Undefined";
      break;
    case Kind::kNone:
      *out += "None";
      break;
    case Kind::kBool:
      *out += value.as_bool() ? "True" : "False";
      break;
    case Kind::kInt:
      *out += std::to_string(value.as_int());
      break;
    case Kind::kFloat:
      *out += python_float_repr(value.as_double());
      break;
    case Kind::kString:
      budget->charge_reading(value.text().size());
      if (value.is_markup()) *out += "Markup(";
      append_repr(out, value.text());
      if (value.is_markup()) *out += ')';
      break;
    case Kind::kList:
      *out += '[';
      append_items(budget, out, value.items());
      *out += ']';
      break;
    case Kind::kTuple:
      *out += '(';
      append_items(budget, out, value.items());
      *out += value.items().size() == 1 ? ",)" : ")";
      break;
    case Kind::kDict:
      append_dict(budget, out, value.as<DictData>());
      break;
    case Kind::kDictView:
      append_view(budget, out, value.as<DictViewData>());
      break;
    case Kind::kRange:
      append_range(out, value.as<RangeData>());
      break;
    case Kind::kNamespace:
      append_namespace(budget, out, value.as<NamespaceData>());
      break;
    case Kind::kGenerator:
    case Kind::kObject:
      *out += "<" + type_name(value) + " object>";
      break;
  }
}

void append_str(Budget* budget, std::string* out, const PyValue& value) {
  if (value.is_string()) {
    budget->check_bytes(out->size() + value.text().size());
    budget->charge_scan(value.text().size());
    *out += value.text();
  } else if (!value.is_undefined()) {
    append_repr(budget, out, value);
    budget->check_bytes(out->size());
  }
}

std::string to_str(Budget* budget, const PyValue& value) {
  std::string out;
  append_str(budget, &out, value);
  budget->charge_bytes(out.size());
  return out;
}

}  // namespace pagoda::jinja
