// Filters that return iterators: nothing happens until they are walked, they can be walked once, they
// have no length and no JSON.
#include <algorithm>
#include <functional>

#include "jinja/arguments.h"
#include "jinja/builtins/filters.h"
#include "jinja/builtins/tests.h"
#include "jinja/eval.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

// Walks `source` through a function that takes an item and says whether it yields something.
class Mapped : public GeneratorData {
 public:
  using Step = std::function<bool(const PyValue& item, PyValue* result)>;
  using Prepare = std::function<Step()>;
  // `prepare` is called once, when there is a first item to walk.
  Mapped(Interpreter* interpreter, PyValue source, Prepare prepare)
      : GeneratorData(&interpreter->budget(), source),
        source_(std::move(source)),
        prepare_(std::move(prepare)) {}

 protected:
  bool step(PyValue* result) const override {
    if (!started_) {
      started_ = true;
      if (!truthy(source_)) return false;
      step_ = prepare_();
      cursor_ = Cursor(source_);
    }
    if (!step_) return false;
    for (PyValue item; cursor_.next(&item);) {
      budget_->charge();
      if (step_(item, result)) return true;
    }
    return false;
  }

 private:
  PyValue source_;
  Prepare prepare_;
  mutable bool started_ = false;
  mutable Step step_;
  mutable Cursor cursor_;
};

PyValue mapped(Interpreter& interpreter, const PyValue& source, Mapped::Prepare prepare) {
  return interpreter.make_generator(std::make_shared<Mapped>(&interpreter, source, std::move(prepare)));
}

PyValue path_with_default(Interpreter& interpreter, const PyValue& item, const PyValue& path,
                          const PyValue& fallback) {
  if (path.is_none()) return item;
  if (fallback.is_none() || !path.is_string()) {
    PyValue value = get_path(interpreter, item, path);
    return value.is_undefined() && !fallback.is_none() ? fallback : value;
  }
  PyValue value = item;
  std::string_view rest = path.text();
  while (true) {
    std::size_t dot = rest.find('.');
    value = get_path(interpreter, value, PyValue::string(rest.substr(0, dot)));
    if (value.is_undefined()) value = fallback;
    if (dot == std::string_view::npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

// map(attribute="a.b", default=x)
Mapped::Step map_attribute(Interpreter* interpreter, Arguments arguments) {
  PyValue path, fallback;
  for (auto& [name, value] : arguments.named) {
    if (name == "attribute")
      path = value;
    else if (name == "default")
      fallback = value;
    else
      fail("FilterArgumentError", "Unexpected keyword argument " + quoted(name));
  }
  return [interpreter, path, fallback](const PyValue& item, PyValue* result) {
    *result = path_with_default(*interpreter, item, path, fallback);
    return true;
  };
}

Mapped::Step map_filter(Interpreter* interpreter, Arguments arguments) {
  if (arguments.positional.empty()) fail("FilterArgumentError", "map requires a filter argument");
  PyValue name = arguments.positional.front();
  arguments.positional.erase(arguments.positional.begin());
  Filter filter = name.is_string() ? filters().find(name.text()) : nullptr;
  if (filter == nullptr)
    fail("TemplateRuntimeError", "No filter named " + quoted(interpreter->str(name)) + ".");
  return [interpreter, filter, arguments](const PyValue& item, PyValue* result) {
    Arguments copy = arguments;
    *result = filter(*interpreter, item, copy);
    return true;
  };
}

PyValue filter_map(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  bool attribute = arguments.positional.empty() &&
                   std::any_of(arguments.named.begin(), arguments.named.end(),
                               [](const auto& named) { return named.first == "attribute"; });
  return mapped(interpreter, value, [interpreter = &interpreter, arguments, attribute] {
    return attribute ? map_attribute(interpreter, arguments) : map_filter(interpreter, arguments);
  });
}

Mapped::Step selection(Interpreter* interpreter, Arguments arguments, bool wanted, bool by_attribute) {
  PyValue path;
  if (by_attribute) {
    if (arguments.positional.empty()) fail("FilterArgumentError", "Missing parameter for attribute name");
    path = arguments.positional.front();
    arguments.positional.erase(arguments.positional.begin());
  }
  Test test = nullptr;
  if (!arguments.positional.empty()) {
    PyValue name = arguments.positional.front();
    arguments.positional.erase(arguments.positional.begin());
    test = name.is_string() ? tests().find(name.text()) : nullptr;
    if (test == nullptr)
      fail("TemplateRuntimeError", "No test named " + quoted(interpreter->str(name)) + ".");
  }
  return [=](const PyValue& item, PyValue* result) {
    PyValue subject = path.is_none() ? item : get_path(*interpreter, item, path);
    Arguments copy = arguments;
    bool passed = test != nullptr ? test(*interpreter, subject, copy) : truthy(subject);
    if (passed == wanted) *result = item;
    return passed == wanted;
  };
}

template <bool kWanted, bool kByAttribute>
PyValue filter_select(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  return mapped(interpreter, value, [interpreter = &interpreter, arguments] {
    return selection(interpreter, arguments, kWanted, kByAttribute);
  });
}

class Unique : public GeneratorData {
 public:
  Unique(Interpreter* interpreter, PyValue source, bool case_sensitive, PyValue attribute)
      : GeneratorData(&interpreter->budget(), source),
        interpreter_(interpreter),
        source_(std::move(source)),
        case_sensitive_(case_sensitive),
        attribute_(std::move(attribute)) {}
  void release() const override { seen_ = DictData(); }

 protected:
  bool step(PyValue* result) const override {
    if (!started_) cursor_ = Cursor(source_);
    started_ = true;
    while (cursor_.next(result)) {
      PyValue key = attribute_.is_none() ? *result : get_path(*interpreter_, *result, attribute_);
      if (!case_sensitive_) key = fold_case(budget_, key);
      if (seen_.find(budget_, key) != nullptr) continue;
      seen_.set(budget_, key, PyValue());
      return true;
    }
    return false;
  }

 private:
  Interpreter* interpreter_;
  PyValue source_;
  bool case_sensitive_;
  PyValue attribute_;
  mutable bool started_ = false;
  mutable Cursor cursor_;
  mutable DictData seen_;
};

PyValue filter_unique(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  auto data = std::make_shared<Unique>(&interpreter, value, bound.truth(0, false), bound[1]);
  return interpreter.make_generator(std::move(data), true);
}

// Lists of several items each: batch counts items per list, slice counts lists.
class Grouped : public GeneratorData {
 public:
  void release() const override {
    held_ = PyValue();
    all_.clear();
    slice_ = count_;
  }
  Grouped(Interpreter* interpreter, PyValue source, int64_t count, PyValue fill, bool batch)
      : GeneratorData(&interpreter->budget(), source),
        source_(std::move(source)),
        count_(count),
        fill_(std::move(fill)),
        batch_(batch) {
    depth = std::max(depth, depth_above(fill_));
  }

 protected:
  bool step(PyValue* result) const override { return batch_ ? next_batch(result) : next_slice(result); }

 private:
  void pad(std::vector<PyValue>* items, int64_t size) const {
    int64_t missing = size - static_cast<int64_t>(items->size());
    if (fill_.is_none() || missing <= 0) return;
    budget_->charge_repeat(static_cast<std::size_t>(missing), 32);
    items->resize(static_cast<std::size_t>(size), fill_);
  }

  bool next_batch(PyValue* result) const {
    if (!started_) cursor_ = Cursor(source_);
    started_ = true;
    // A batch is full when the next item comes, so a size of zero gives one empty batch and then everything.
    std::vector<PyValue> items;
    PyValue item;
    if (has_held_) items.push_back(std::move(held_));
    bool more = cursor_.next(&item);
    for (; more; more = cursor_.next(&item)) {
      budget_->charge();
      if (static_cast<int64_t>(items.size()) == count_) break;
      items.push_back(item);
    }
    has_held_ = more;
    held_ = more ? item : PyValue();
    if (!more && items.empty()) return false;
    if (!more) pad(&items, count_);
    *result = PyValue::list(std::move(items));
    return true;
  }

  bool next_slice(PyValue* result) const {
    if (!started_) all_ = to_vector(budget_, source_);
    started_ = true;
    if (count_ == 0) fail("ZeroDivisionError", "integer division or modulo by zero");
    if (slice_ >= count_) return false;
    int64_t size = static_cast<int64_t>(all_.size()), each = size / count_, longer = size % count_;
    int64_t start = offset_ + slice_ * each;
    if (slice_ < longer) ++offset_;
    int64_t end = offset_ + (slice_ + 1) * each;
    std::vector<PyValue> items(all_.begin() + start, all_.begin() + end);
    if (slice_ >= longer) pad(&items, static_cast<int64_t>(items.size()) + 1);
    ++slice_;
    *result = PyValue::list(std::move(items));
    return true;
  }

  PyValue source_;
  int64_t count_;
  PyValue fill_;
  bool batch_;
  mutable bool started_ = false, has_held_ = false;
  mutable Cursor cursor_;
  mutable PyValue held_;
  mutable std::vector<PyValue> all_;
  mutable int64_t slice_ = 0, offset_ = 0;
};

template <bool kBatch>
PyValue filter_grouped(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound(kBatch ? "batch" : "slice", arguments, {kBatch ? "linecount" : "slices", "fill_with"}, 1);
  auto data = std::make_shared<Grouped>(&interpreter, value, bound.integer(0, 1), bound[1], kBatch);
  return interpreter.make_generator(std::move(data), true);
}

// Backwards over something that has positions.
class Reversed : public GeneratorData {
 public:
  Reversed(Interpreter* interpreter, const PyValue& source)
      : GeneratorData(&interpreter->budget(), source),
        items_(to_vector(budget_, source)),
        left_(items_.size()) {}
  const char* type_name() const override { return "list_reverseiterator"; }

 protected:
  bool step(PyValue* result) const override {
    if (left_ == 0) return false;
    *result = items_[--left_];
    return true;
  }

 private:
  std::vector<PyValue> items_;
  mutable std::size_t left_;
};

PyValue filter_reverse(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("reverse", arguments, {});
  Budget& budget = interpreter.budget();
  if (value.is_string()) return slice(&budget, value, PyValue(), PyValue(), PyValue::integer(-1));
  if (value.is(Kind::kGenerator) || value.is_undefined()) {
    std::vector<PyValue> items = to_vector(&budget, value);
    std::reverse(items.begin(), items.end());
    return PyValue::list(std::move(items));
  }
  if (!is_iterable(value)) fail("FilterArgumentError", "argument must be iterable");
  return interpreter.make_generator(std::make_shared<Reversed>(&interpreter, value));
}

class Items : public GeneratorData {
 public:
  Items(Interpreter* interpreter, const PyValue& source)
      : GeneratorData(&interpreter->budget(), source), source_(source) {}

 protected:
  bool step(PyValue* result) const override {
    if (source_.is_undefined()) return false;
    if (!source_.is_dict()) fail("TypeError", "Can only get item pairs from a mapping.");
    const auto& entries = source_.as<DictData>().entries();
    if (next_ >= entries.size()) return false;
    *result = PyValue::tuple({entries[next_].first, entries[next_].second});
    ++next_;
    return true;
  }

 private:
  PyValue source_;
  mutable std::size_t next_ = 0;
};

PyValue filter_items(Interpreter& interpreter, const PyValue& value, Arguments& arguments) {
  Bound bound("items", arguments, {});
  return interpreter.make_generator(std::make_shared<Items>(&interpreter, value));
}

constexpr Registry<Filter>::Entry kFilters[] = {
    {"batch", filter_grouped<true>},
    {"items", filter_items},
    {"map", filter_map},
    {"reject", filter_select<false, false>},
    {"rejectattr", filter_select<false, true>},
    {"reverse", filter_reverse},
    {"select", filter_select<true, false>},
    {"selectattr", filter_select<true, true>},
    {"slice", filter_grouped<false>},
    {"unique", filter_unique},
};

}  // namespace

Registry<Filter>::Part lazy_filters() {
  return kFilters;
}

}  // namespace pagoda::jinja
