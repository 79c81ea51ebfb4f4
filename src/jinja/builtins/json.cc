// tojson: json.dumps of Python.
#include "base/json.h"

#include <algorithm>
#include <cmath>

#include "jinja/arguments.h"
#include "jinja/builtins/filters.h"
#include "jinja/eval.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Budget* budget, bool ensure_ascii, bool sort_keys, bool multiline, std::string indent,
             std::string comma, std::string colon)
      : budget_(budget),
        ensure_ascii_(ensure_ascii),
        sort_keys_(sort_keys),
        multiline_(multiline),
        indent_(std::move(indent)),
        comma_(std::move(comma)),
        colon_(std::move(colon)) {}

  void write(const PyValue& value, int depth) {
    Budget::Nest nest(budget_, 1);
    budget_->charge();
    budget_->check_bytes(out_.size());
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        break;
      case Kind::kBool:
        out_ += value.as_bool() ? "true" : "false";
        break;
      case Kind::kInt:
        out_ += std::to_string(value.as_int());
        break;
      case Kind::kFloat:
        out_ += number(value.as_double());
        break;
      case Kind::kString:
        budget_->charge_reading(value.text().size());
        append_json_string(&out_, value.text(), ensure_ascii_);
        break;
      case Kind::kList:
      case Kind::kTuple:
        list(value.items(), depth);
        break;
      case Kind::kDict:
        dict(value.as<DictData>(), depth);
        break;
      default:
        fail("TypeError", "Object of type " + type_name(value) + " is not JSON serializable");
    }
  }
  std::string take() { return std::move(out_); }

 private:
  static std::string number(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return python_float_repr(number);
  }

  void append(const std::string& text) {
    budget_->charge_scan(text.size());
    budget_->check_bytes(out_.size() + text.size());
    out_ += text;
  }

  void newline(int depth) {
    if (!multiline_) return;
    out_ += '\n';
    for (int i = 0; i < depth; ++i) append(indent_);
  }

  void list(const std::vector<PyValue>& items, int depth) {
    out_ += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) append(comma_);
      newline(depth + 1);
      write(items[i], depth + 1);
    }
    if (!items.empty()) newline(depth);
    out_ += ']';
  }

  std::string key_text(const PyValue& key) {
    switch (key.kind()) {
      case Kind::kString:
        return key.text();
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.as_bool() ? "true" : "false";
      case Kind::kInt:
        return std::to_string(key.as_int());
      case Kind::kFloat:
        return number(key.as_double());
      default:
        fail("TypeError", "keys must be str, int, float, bool or None, not " + type_name(key));
    }
  }

  void dict(const DictData& dict, int depth) {
    std::vector<const DictData::Entry*> entries;
    budget_->charge(static_cast<int64_t>(dict.entries().size()));
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (sort_keys_)
      std::stable_sort(entries.begin(), entries.end(), [this](const auto* a, const auto* b) {
        return compare(budget_, Order::kLess, a->first, b->first);
      });
    out_ += '{';
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) append(comma_);
      newline(depth + 1);
      std::string key = key_text(entries[i]->first);
      budget_->charge_reading(key.size());
      append_json_string(&out_, key, ensure_ascii_);
      append(colon_);
      write(entries[i]->second, depth + 1);
    }
    if (!entries.empty()) newline(depth);
    out_ += '}';
  }

  Budget* budget_;
  bool ensure_ascii_, sort_keys_, multiline_;
  std::string indent_, comma_, colon_, out_;
};

}  // namespace

PyValue filter_tojson(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  Budget& budget = interpreter.budget();
  bool multiline = !bound[1].is_none();
  std::string indent;
  if (bound[1].is_string()) {
    indent = bound[1].text();
  } else if (multiline) {
    int64_t blanks = std::max<int64_t>(bound.integer(1, 0), 0);
    budget.charge_repeat(static_cast<std::size_t>(blanks), 1);
    indent.assign(static_cast<std::size_t>(blanks), ' ');
  }
  std::string comma = multiline ? "," : ", ", colon = ": ";
  if (!bound[2].is_none()) {
    std::vector<PyValue> pair = to_vector(&budget, bound[2]);
    if (pair.size() != 2) fail("ValueError", "separators must be a pair");
    if (!pair[0].is_string() || !pair[1].is_string()) fail("TypeError", "separators must be strings");
    comma = pair[0].text();
    colon = pair[1].text();
  }
  JsonWriter writer(&budget, bound.truth(0, false), bound.truth(3, false), multiline, std::move(indent),
                    std::move(comma), std::move(colon));
  writer.write(value, 0);
  return PyValue::string(writer.take());
}

}  // namespace pagoda::jinja
