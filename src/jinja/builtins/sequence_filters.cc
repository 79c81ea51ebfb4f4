// Filters over sequences and mappings that answer at once.
#include <algorithm>
#include <set>

#include "jinja/arguments.h"
#include "jinja/builtins/filters.h"
#include "jinja/eval.h"
#include "jinja/ops.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

PyValue filter_list(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("list", arguments, {});
  return PyValue::list(to_vector(&interpreter.budget(), value));
}

PyValue filter_first(Interpreter&, const PyValue& value, Arguments& arguments) {
  Bound bound("first", arguments, {});
  Cursor cursor(value);
  PyValue item;
  return cursor.next(&item) ? item : undefined("No first item, sequence was empty.");
}

PyValue filter_last(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("last", arguments, {});
  if (value.is(Kind::kGenerator) || !is_iterable(value))
    fail("TypeError", quoted(type_name(value)) + " object is not reversible");
  PyValue item;
  if (value.is_string() || value.is_sequence() || value.is(Kind::kRange)) {
    if (subscript(&interpreter.budget(), value, PyValue::integer(-1), &item)) return item;
  } else {
    std::vector<PyValue> items = to_vector(&interpreter.budget(), value);
    if (!items.empty()) return items.back();
  }
  return undefined("No last item, sequence was empty.");
}

PyValue filter_join(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("join", arguments, {"d", "attribute"});
  Budget& budget = interpreter.budget();
  std::string separator = bound.has(0) ? interpreter.str(bound[0]) : std::string(), out;
  Cursor cursor(value);
  bool first = true;
  for (PyValue item; cursor.next(&item); first = false) {
    budget.charge();
    if (!first) out += separator;
    budget.charge_scan(separator.size());
    append_str(&budget, &out, bound[1].is_none() ? item : get_path(interpreter, item, bound[1]));
  }
  return PyValue::string(std::move(out));
}

// Items with their keys, sorted stably.
struct Keyed {
  std::vector<PyValue> keys;
  PyValue item;
};

std::vector<PyValue> sort_by_keys(Interpreter& interpreter, std::vector<Keyed> items, bool reverse) {
  Budget* budget = &interpreter.budget();
  auto less = [budget](const Keyed& a, const Keyed& b) {
    for (std::size_t i = 0; i < a.keys.size(); ++i)
      if (!equals(budget, a.keys[i], b.keys[i])) return compare(budget, Order::kLess, a.keys[i], b.keys[i]);
    return false;
  };
  // Equal items keep their order also when the order is reversed.
  if (reverse) std::reverse(items.begin(), items.end());
  std::stable_sort(items.begin(), items.end(), less);
  if (reverse) std::reverse(items.begin(), items.end());
  std::vector<PyValue> sorted;
  for (Keyed& keyed : items) sorted.push_back(std::move(keyed.item));
  return sorted;
}

PyValue sort_key(Interpreter& interpreter, const PyValue& item, const PyValue& path, bool case_sensitive) {
  PyValue key = path.is_none() ? item : get_path(interpreter, item, path);
  return case_sensitive ? key : fold_case(&interpreter.budget(), key);
}

PyValue filter_sort(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<PyValue> paths;
  if (bound[2].is_string()) {
    std::string_view text = bound[2].text();
    for (std::size_t comma = 0; comma != std::string_view::npos; text.remove_prefix(comma + 1)) {
      comma = text.find(',');
      paths.push_back(PyValue::string(text.substr(0, comma)));
      if (comma == std::string_view::npos) break;
    }
  } else {
    paths.push_back(bound[2]);
  }
  std::vector<Keyed> items;
  for (const PyValue& item : to_vector(&interpreter.budget(), value)) {
    Keyed keyed{{}, item};
    for (const PyValue& path : paths)
      keyed.keys.push_back(sort_key(interpreter, item, path, bound.truth(1, false)));
    interpreter.budget().charge(static_cast<int64_t>(2 * paths.size() + 4));
    items.push_back(std::move(keyed));
  }
  return PyValue::list(sort_by_keys(interpreter, std::move(items), bound.truth(0, false)));
}

PyValue filter_dictsort(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  std::string by = bound.string(1, "key");
  if (by != "key" && by != "value")
    fail("FilterArgumentError", "You can only sort by either \"key\" or \"value\"");
  require_defined(value);
  if (!value.is_dict()) fail("AttributeError", quoted(type_name(value)) + " object has no attribute 'items'");
  std::vector<Keyed> items;
  for (const auto& [key, entry] : value.as<DictData>().entries()) {
    interpreter.budget().charge();
    PyValue sort_value = by == "key" ? key : entry;
    items.push_back({{bound.truth(0, false) ? sort_value : fold_case(&interpreter.budget(), sort_value)},
                     PyValue::tuple({key, entry})});
  }
  return PyValue::list(sort_by_keys(interpreter, std::move(items), bound.truth(2, false)));
}

// Pairs (grouper, list), sorted by grouper.
PyValue filter_groupby(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  bool case_sensitive = bound.truth(2, false);
  std::vector<Keyed> items;
  for (const PyValue& item : to_vector(&interpreter.budget(), value)) {
    PyValue key = get_path(interpreter, item, bound[0]);
    if (key.is_undefined() && !bound[1].is_none()) key = bound[1];
    items.push_back(
        {{case_sensitive ? key : fold_case(&interpreter.budget(), key)}, PyValue::tuple({key, item})});
  }
  std::vector<PyValue> groups, members;
  PyValue grouper;
  auto flush = [&] {
    if (!members.empty()) groups.push_back(PyValue::group(grouper, PyValue::list(std::move(members))));
    members.clear();
  };
  for (const PyValue& pair : sort_by_keys(interpreter, std::move(items), false)) {
    const PyValue& key = pair.items()[0];
    PyValue folded = case_sensitive ? key : fold_case(&interpreter.budget(), key);
    if (members.empty() || !equals(&interpreter.budget(), folded,
                                   case_sensitive ? grouper : fold_case(&interpreter.budget(), grouper))) {
      flush();
      grouper = key;
    }
    members.push_back(pair.items()[1]);
  }
  flush();
  return PyValue::list(std::move(groups));
}

template <bool kMax>
PyValue filter_extreme(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound(kMax ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  Cursor cursor(value);
  PyValue best, item;
  if (!cursor.next(&best)) return undefined("No aggregated item, sequence was empty.");
  PyValue best_key = sort_key(interpreter, best, bound[1], bound.truth(0, false));
  while (cursor.next(&item)) {
    PyValue key = sort_key(interpreter, item, bound[1], bound.truth(0, false));
    if (!compare(&interpreter.budget(), kMax ? Order::kGreater : Order::kLess, key, best_key)) continue;
    best = item;
    best_key = key;
  }
  return best;
}

PyValue filter_sum(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("sum", arguments, {"attribute", "start"});
  PyValue total = bound.has(1) ? bound[1] : PyValue::integer(0);
  if (total.is_string()) fail("TypeError", "sum() can't sum strings [use ''.join(seq) instead]");
  Cursor cursor(value);
  for (PyValue item; cursor.next(&item);) {
    PyValue term = bound[0].is_none() ? item : get_path(interpreter, item, bound[0]);
    total = binary(&interpreter.budget(), BinaryOp::kAdd, total, term);
  }
  return total;
}

PyValue filter_xmlattr(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("xmlattr", arguments, {"autospace"});
  require_defined(value);
  if (!value.is_dict()) fail("AttributeError", quoted(type_name(value)) + " object has no attribute 'items'");
  std::string out;
  for (const auto& [key, entry] : value.as<DictData>().entries()) {
    if (entry.is_none() || entry.is_undefined()) continue;
    std::string name = interpreter.str(key);
    interpreter.budget().charge_reading(name.size());
    if (name.find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      fail("ValueError", "Invalid character in attribute name: " + quoted(name));
    if (!out.empty()) out += ' ';
    out += escape_html(name) + "=\"";
    std::string text = interpreter.str(entry);
    interpreter.budget().charge_reading(text.size());
    out += (entry.is_markup() ? text : escape_html(text)) + "\"";
    interpreter.budget().check_bytes(out.size());
  }
  if (bound.truth(0, true) && !out.empty()) out.insert(0, 1, ' ');
  return PyValue::string(std::move(out));
}

constexpr Registry<Filter>::Entry kFilters[] = {
    {"dictsort", filter_dictsort}, {"first", filter_first},        {"groupby", filter_groupby},
    {"join", filter_join},         {"last", filter_last},          {"list", filter_list},
    {"max", filter_extreme<true>}, {"min", filter_extreme<false>}, {"sort", filter_sort},
    {"sum", filter_sum},           {"xmlattr", filter_xmlattr},
};

}  // namespace

Registry<Filter>::Part sequence_filters() {
  return kFilters;
}

}  // namespace pagoda::jinja
