// Methods of lists, tuples, dicts and numbers, and how methods become values. Those of strings are in
// string_methods.cc.
#include "jinja/builtins/methods.h"

#include <cmath>

#include "jinja/arguments.h"
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
  return self;  // no difference shows: values are immutable
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

using Entry = Registry<Method>::Entry;
constexpr Entry kDictMethods[] = {
    {"copy", copy},
    {"get", dict_get},
    {"items", dict_view<DictViewData::What::kItems>},
    {"keys", dict_view<DictViewData::What::kKeys>},
    {"values", dict_view<DictViewData::What::kValues>},
};
constexpr Entry kListMethods[] = {{"copy", copy}, {"count", sequence_count}, {"index", sequence_index}};
constexpr Entry kTupleMethods[] = {{"count", sequence_count}, {"index", sequence_index}};
constexpr Entry kIntMethods[] = {{"bit_length", bit_length}};
constexpr Entry kFloatMethods[] = {{"is_integer", float_is_integer}};

// nullptr: values of the kind have none.
const Registry<Method>* methods_of(Kind kind) {
  static const Registry<Method> of_dict = {kDictMethods}, of_list = {kListMethods},
                                of_tuple = {kTupleMethods}, of_int = {kIntMethods},
                                of_float = {kFloatMethods};
  switch (kind) {
    case Kind::kString:
      return &string_methods();
    case Kind::kDict:
      return &of_dict;
    case Kind::kList:
      return &of_list;
    case Kind::kTuple:
      return &of_tuple;
    case Kind::kBool:
    case Kind::kInt:
      return &of_int;
    case Kind::kFloat:
      return &of_float;
    default:
      return nullptr;
  }
}

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
  if (self.is(Kind::kTuple) && self.as<SequenceData>().group && name == "list") return nullptr;
  const Registry<Method>* methods = methods_of(self.kind());
  return methods == nullptr ? nullptr : methods->find(name);
}

PyValue bind_method(const PyValue& self, std::string_view name) {
  return PyValue::of(Kind::kObject, std::make_shared<BoundMethod>(self, find_method(self, name)));
}

}  // namespace pagoda::jinja
