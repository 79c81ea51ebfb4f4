// Methods of lists, tuples, dicts and numbers, and how methods become values. Those of strings are in
// string_methods.cc.
#include "jinja/builtins/methods.h"

#include <cmath>

#include "jinja/builtins/filters.h"
#include "jinja/builtins/string_methods.h"
#include "jinja/eval.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

PyValue make_view(const PyValue& self, DictViewData::What what) {
  auto view = std::make_shared<DictViewData>();
  view->depth = depth_above(self);
  view->dict = self.share<DictData>();
  view->what = what;
  return PyValue::of(Kind::kDictView, std::move(view));
}

template <DictViewData::What kWhat>
PyValue dict_view(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("dict method", arguments, {});
  return make_view(self, kWhat);
}

PyValue dict_get(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("get", arguments, {"key", "default"}, 1);
  const PyValue* found = self.as<DictData>().find(&interpreter.budget(), bound[0]);
  return found != nullptr ? *found : bound[1];
}

PyValue copy(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("copy", arguments, {});
  return self;  // nobody can tell: values are immutable
}

PyValue sequence_index(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("index", arguments, {"value", "start", "stop"}, 1);
  int64_t size = length_of(self), start = bound.integer(1, 0), stop = bound.integer(2, size);
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  for (int64_t i = start; i < std::min(stop, size); ++i)
    if (equals(&interpreter.budget(), self.items()[static_cast<std::size_t>(i)], bound[0]))
      return PyValue::integer(i);
  std::string shown;
  append_repr(&interpreter.budget(), &shown, bound[0]);
  fail("ValueError", self.is(Kind::kList) ? shown + " is not in list" : "tuple.index(x): x not in tuple");
}

PyValue sequence_count(Interpreter& interpreter, const PyValue& self, Arguments& arguments) {
  Bound bound("count", arguments, {"value"}, 1);
  int64_t count = 0;
  for (const PyValue& item : self.items()) count += equals(&interpreter.budget(), item, bound[0]);
  return PyValue::integer(count);
}

PyValue float_is_integer(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("is_integer", arguments, {});
  double number = self.as_double();
  return PyValue::boolean(std::isfinite(number) && number == std::floor(number));
}

PyValue bit_length(Interpreter&, const PyValue& self, Arguments& arguments) {
  Bound bound("bit_length", arguments, {});
  int64_t number = self.as_int();
  uint64_t magnitude = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  return PyValue::integer(magnitude == 0 ? 0 : 64 - __builtin_clzll(magnitude));
}

constexpr Named<PyValue> kDict[] = {
    {"copy", copy},
    {"get", dict_get},
    {"items", dict_view<DictViewData::What::kItems>},
    {"keys", dict_view<DictViewData::What::kKeys>},
    {"values", dict_view<DictViewData::What::kValues>},
};
constexpr Named<PyValue> kList[] = {{"copy", copy}, {"count", sequence_count}, {"index", sequence_index}};
constexpr Named<PyValue> kTuple[] = {{"count", sequence_count}, {"index", sequence_index}};
constexpr Named<PyValue> kInt[] = {{"bit_length", bit_length}};
constexpr Named<PyValue> kFloat[] = {{"is_integer", float_is_integer}};

class BoundMethod : public ObjectData {
 public:
  BoundMethod(PyValue self, Method method) : self_(std::move(self)), method_(method) {
    depth = depth_above(self_);
  }
  const char* type_name() const override { return "builtin_function_or_method"; }
  PyValue call(Interpreter& interpreter, Arguments& arguments) const override {
    return method_(interpreter, self_, arguments);
  }

 private:
  PyValue self_;
  Method method_;
};

}  // namespace

Method find_method(const PyValue& self, std::string_view name) {
  switch (self.kind()) {
    case Kind::kString:
      return find_string_method(name);
    case Kind::kDict:
      return find_in(kDict, name);
    case Kind::kList:
      return find_in(kList, name);
    case Kind::kTuple:
      return self.as<SequenceData>().group && name == "list" ? nullptr : find_in(kTuple, name);
    case Kind::kBool:
    case Kind::kInt:
      return find_in(kInt, name);
    case Kind::kFloat:
      return find_in(kFloat, name);
    default:
      return nullptr;
  }
}

PyValue bind_method(const PyValue& self, std::string_view name) {
  return PyValue::of(Kind::kObject, std::make_shared<BoundMethod>(self, find_method(self, name)));
}

}  // namespace pagoda::jinja
