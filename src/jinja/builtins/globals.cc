#include "jinja/builtins/globals.h"

#include <algorithm>

#include "jinja/arguments.h"
#include "jinja/builtins/registry.h"
#include "jinja/eval.h"
#include "jinja/format.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

constexpr int64_t kRangeMax = 100000;  // the sandbox's own bound

class Function : public ObjectData {
 public:
  using Body = PyValue (*)(Interpreter&, Arguments&);
  Function(const char* type, Body body) : type_(type), body_(body) {}
  const char* type_name() const override { return type_; }
  PyValue call(Interpreter& interpreter, Arguments& arguments) const override {
    return body_(interpreter, arguments);
  }

 private:
  const char* type_;
  Body body_;
};

PyValue make_range(Interpreter&, Arguments& arguments) {
  Bound bound("range", arguments, {"start", "stop", "step"}, 1);
  auto range = std::make_shared<RangeData>();
  bool only_stop = !bound.has(1);
  range->start = only_stop ? 0 : bound.integer(0, 0);
  range->stop = bound.integer(only_stop ? 0 : 1, 0);
  range->step = bound.integer(2, 1);
  if (range->step == 0) fail("ValueError", "range() arg 3 must not be zero");
  __int128 distance = range->step > 0 ? static_cast<__int128>(range->stop) - range->start
                                      : static_cast<__int128>(range->start) - range->stop;
  __int128 step = range->step > 0 ? range->step : -static_cast<__int128>(range->step);
  __int128 size = distance <= 0 ? 0 : (distance + step - 1) / step;
  if (size > kRangeMax)
    fail("OverflowError", "Range too big. The sandbox blocks ranges larger than MAX_RANGE (" +
                              std::to_string(kRangeMax) + ").");
  range->size = static_cast<int64_t>(size);
  return PyValue::of(Kind::kRange, std::move(range));
}

// dict(mapping or pairs, name=value...)
std::shared_ptr<DictData> build_dict(Interpreter& interpreter, Arguments& arguments) {
  Budget* budget = &interpreter.budget();
  auto dict = std::make_shared<DictData>();
  if (arguments.positional.size() > 1)
    fail("TypeError", "dict expected at most 1 argument, got " + std::to_string(arguments.positional.size()));
  if (!arguments.positional.empty()) {
    const PyValue& source = arguments.positional[0];
    if (source.is_dict()) {
      for (const auto& [key, value] : source.as<DictData>().entries()) dict->set(budget, key, value);
    } else {
      for (const PyValue& pair : to_vector(budget, source)) {
        std::vector<PyValue> parts = to_vector(budget, pair);
        if (parts.size() != 2)
          fail("ValueError", "dictionary update sequence element has length " + std::to_string(parts.size()) +
                                 "; 2 is required");
        dict->set(budget, parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) dict->set(budget, PyValue::string(name), value);
  return dict;
}

PyValue make_dict(Interpreter& interpreter, Arguments& arguments) {
  return PyValue::of(Kind::kDict, build_dict(interpreter, arguments));
}

PyValue make_namespace(Interpreter& interpreter, Arguments& arguments) {
  auto data = std::make_shared<NamespaceData>();
  std::shared_ptr<DictData> dict = build_dict(interpreter, arguments);
  for (const auto& [key, value] : dict->entries()) data->attributes.emplace_back(interpreter.str(key), value);
  return interpreter.make_namespace(std::move(data));
}

PyValue raise_exception(Interpreter& interpreter, Arguments& arguments) {
  Bound bound("raise_exception", arguments, {"message"}, 1);
  fail("TemplateError", interpreter.str(bound[0]));
}

PyValue strftime_now(Interpreter& interpreter, Arguments& arguments) {
  Bound bound("strftime_now", arguments, {"format"}, 1);
  const TemplateClock& clock = interpreter.clock();
  if (!clock.fixed.empty()) return PyValue::string(clock.fixed);
  return PyValue::string(format_time(&interpreter.budget(), bound.string(0, ""), clock.unix_s));
}

struct CyclerState : Heap {
  std::vector<PyValue> items;
  std::size_t pos = 0;
};

class CyclerMethod : public ObjectData {
 public:
  CyclerMethod(std::shared_ptr<CyclerState> state, bool reset) : state_(std::move(state)), reset_(reset) {
    depth = state_->depth;
  }
  const char* type_name() const override { return "method"; }
  PyValue call(Interpreter&, Arguments& arguments) const override {
    Bound bound("cycler", arguments, {});
    PyValue current = reset_ ? PyValue() : state_->items[state_->pos];
    state_->pos = reset_ ? 0 : (state_->pos + 1) % state_->items.size();
    return current;
  }

 private:
  std::shared_ptr<CyclerState> state_;
  bool reset_;
};

class Cycler : public ObjectData {
 public:
  explicit Cycler(std::shared_ptr<CyclerState> state) : state_(std::move(state)) { depth = state_->depth; }
  const char* type_name() const override { return "Cycler"; }
  bool callable() const override { return false; }
  PyValue call(Interpreter&, Arguments&) const override {
    fail("TypeError", "'Cycler' object is not callable");
  }
  bool attribute(std::string_view name, PyValue* value) const override {
    if (name == "current")
      *value = state_->items[state_->pos];
    else if (name == "next" || name == "reset")
      *value = PyValue::of(Kind::kObject, std::make_shared<CyclerMethod>(state_, name == "reset"));
    else
      return false;
    return true;
  }

 private:
  std::shared_ptr<CyclerState> state_;
};

PyValue make_cycler(Interpreter&, Arguments& arguments) {
  if (!arguments.named.empty()) fail("TypeError", "cycler() takes no keyword arguments");
  if (arguments.positional.empty()) fail("RuntimeError", "at least one item has to be provided");
  auto state = std::make_shared<CyclerState>();
  for (const PyValue& item : arguments.positional) state->depth = std::max(state->depth, depth_above(item));
  state->items = arguments.positional;
  return PyValue::of(Kind::kObject, std::make_shared<Cycler>(std::move(state)));
}

class Joiner : public ObjectData {
 public:
  explicit Joiner(PyValue separator) : separator_(std::move(separator)) { depth = depth_above(separator_); }
  const char* type_name() const override { return "Joiner"; }
  PyValue call(Interpreter&, Arguments& arguments) const override {
    Bound bound("joiner", arguments, {});
    if (used_) return separator_;
    used_ = true;
    return PyValue::string("");
  }

 private:
  PyValue separator_;
  mutable bool used_ = false;
};

PyValue make_joiner(Interpreter&, Arguments& arguments) {
  Bound bound("joiner", arguments, {"sep"});
  return PyValue::of(Kind::kObject,
                     std::make_shared<Joiner>(bound.has(0) ? bound[0] : PyValue::string(", ")));
}

struct Global {
  const char* type = nullptr;
  Function::Body body = nullptr;
};

constexpr Registry<Global>::Entry kGlobals[] = {
    {"range", {"function", make_range}},
    {"dict", {"type", make_dict}},
    {"namespace", {"type", make_namespace}},
    {"cycler", {"type", make_cycler}},
    {"joiner", {"type", make_joiner}},
    {"raise_exception", {"function", raise_exception}},
    {"strftime_now", {"function", strftime_now}},
};

}  // namespace

bool find_global(std::string_view name, PyValue* value) {
  static const Registry<Global> registry = {kGlobals};
  const Global global = registry.find(name);
  if (global.body == nullptr) return false;
  *value = PyValue::of(Kind::kObject, std::make_shared<Function>(global.type, global.body));
  return true;
}

}  // namespace pagoda::jinja
