#include "jinja/value.h"

#include <algorithm>

#include "base/cancel.h"
#include "base/utf8.h"
#include "jinja/text.h"

namespace pagoda::jinja {
namespace {

// Deeper than any JSON that a request may carry, shallow enough for recursive walks.
constexpr int kNestingMax = 256;

int depth_above(int depth) {
  if (depth >= kNestingMax)
    fail("LimitError", "a value nests deeper than " + std::to_string(kNestingMax) + " levels");
  return depth + 1;
}

int depth_of(const PyValue& value) {
  return value.heap() == nullptr ? 0 : value.heap()->depth;
}

PyValue sequence(Kind kind, std::vector<PyValue> items) {
  Budget::charge_memory(sizeof(SequenceData) + items.size() * sizeof(PyValue));
  auto data = std::make_shared<SequenceData>();
  int depth = 0;
  for (const PyValue& item : items) depth = std::max(depth, depth_of(item));
  data->depth = depth_above(depth);
  data->items = std::move(items);
  return PyValue::of(kind, std::move(data));
}

}  // namespace

thread_local Budget* Budget::current_ = nullptr;

int depth_above(const PyValue& value) {
  return depth_above(depth_of(value));
}

GeneratorData::GeneratorData(Budget* budget, const PyValue& source) : budget_(budget) {
  budget->charge(4);
  depth = depth_above(source);
}

bool GeneratorData::next(PyValue* item) const {
  if (running_) fail("ValueError", "generator already executing");
  Budget::Nest nest(budget_, 2);
  struct Running {
    explicit Running(bool* flag_in) : flag(flag_in) { *flag = true; }
    ~Running() { *flag = false; }
    bool* flag;
  } running(&running_);
  budget_->charge();
  return step(item);
}

void fail(std::string_view kind, std::string message) {
  throw Fault{std::string(kind), std::move(message), 0};
}

void fail_if_cancelled() {
  if (is_work_cancelled()) fail("CancelledError", "the request has been cancelled");
}

void Budget::charge_repeat(std::size_t count, std::size_t size) {
  if (size != 0 && count > bytes_max_ / size) too_long();
  charge_bytes(count * size);
}

void Budget::too_deep() {
  fail("LimitError", "the template nests too many calls or expressions");
}
void Budget::next_slice() {
  constexpr int64_t kSlice = 1 << 14;
  fail_if_cancelled();
  const int64_t more = std::min(steps_behind_, std::max(kSlice, -steps_left_));
  steps_behind_ -= more;
  steps_left_ += more;
  if (steps_left_ < 0) fail("LimitError", "the template needs more steps than are allowed");
}
void Budget::too_long() const {
  fail("LimitError", "the template makes a string of more than " + std::to_string(bytes_max_) + " bytes");
}

PyValue PyValue::boolean(bool b) {
  PyValue value;
  value.kind_ = Kind::kBool;
  value.integer_ = b;
  return value;
}

PyValue PyValue::integer(int64_t i) {
  PyValue value;
  value.kind_ = Kind::kInt;
  value.integer_ = i;
  return value;
}

PyValue PyValue::real(double d) {
  PyValue value;
  value.kind_ = Kind::kFloat;
  value.real_ = d;
  return value;
}

PyValue PyValue::string(std::string text, bool markup) {
  Budget::charge_new_string(text.size());
  auto data = std::make_shared<StringData>();
  data->text = std::move(text);
  data->markup = markup;
  return of(Kind::kString, std::move(data));
}

PyValue PyValue::list(std::vector<PyValue> items) {
  return sequence(Kind::kList, std::move(items));
}
PyValue PyValue::tuple(std::vector<PyValue> items) {
  return sequence(Kind::kTuple, std::move(items));
}

PyValue PyValue::group(PyValue grouper, PyValue list) {
  PyValue pair = tuple({std::move(grouper), std::move(list)});
  std::const_pointer_cast<SequenceData>(pair.share<SequenceData>())->group = true;
  return pair;
}

const std::string& PyValue::text() const {
  return as<StringData>().text;
}
bool PyValue::is_markup() const {
  return is_string() && as<StringData>().markup;
}
const std::vector<PyValue>& PyValue::items() const {
  return as<SequenceData>().items;
}

int64_t StringData::length() const {
  int64_t known = chars.load(std::memory_order_relaxed);
  if (known < 0) chars.store(known = count_chars(text), std::memory_order_relaxed);
  return known;
}

const PyValue* DictData::find(Budget* budget, std::string_view key) const {
  budget->charge(static_cast<int64_t>(key.size() / 4));  // hashed, or compared with up to kLinearMax others
  if (!index_.empty()) {
    auto it = index_.find(key);
    return it == index_.end() ? nullptr : &entries_[it->second].second;
  }
  for (const Entry& entry : entries_)
    if (entry.first.is_string() && entry.first.text() == key) return &entry.second;
  return nullptr;
}

const PyValue* DictData::find(Budget* budget, const PyValue& key) const {
  if (key.is_string()) return find(budget, key.text());
  if (!hashable(budget, key)) fail("TypeError", "unhashable type: '" + type_name(key) + "'");
  budget->charge(static_cast<int64_t>(entries_.size() / 8));
  for (const Entry& entry : entries_)
    if (!entry.first.is_string() && equals(budget, entry.first, key)) return &entry.second;
  return nullptr;
}

void DictData::insert(PyValue key, PyValue value) {
  Budget::charge_memory(2 * sizeof(Entry));
  depth = std::max({depth, depth_above(depth_of(key)), depth_above(depth_of(value))});
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() <= kLinearMax) return;
  // The views point into strings that the entries keep alive.
  for (std::size_t i = index_.empty() ? 0 : entries_.size() - 1; i < entries_.size(); ++i)
    if (entries_[i].first.is_string()) index_.emplace(entries_[i].first.text(), i);
}

void DictData::set(Budget* budget, PyValue key, PyValue value) {
  budget->charge();
  if (const PyValue* found = find(budget, key)) {
    depth = std::max(depth, depth_above(depth_of(value)));
    *const_cast<PyValue*>(found) = std::move(value);
  } else {
    insert(std::move(key), std::move(value));
  }
}

void DictData::append_new(std::string key, PyValue value) {
  insert(PyValue::string(std::move(key)), std::move(value));
}

PyValue DictViewData::at(std::size_t i) const {
  const DictData::Entry& entry = dict->entries()[i];
  if (what == What::kKeys) return entry.first;
  if (what == What::kValues) return entry.second;
  return PyValue::tuple({entry.first, entry.second});
}

const PyValue* NamespaceData::find(Budget* budget, std::string_view name) const {
  budget->charge(static_cast<int64_t>(attributes.size() / 8));
  for (const auto& [key, value] : attributes)
    if (key == name) return &value;
  return nullptr;
}

void NamespaceData::set(Budget* budget, std::string_view name, PyValue value) const {
  budget->charge(static_cast<int64_t>(attributes.size() / 8 + 1));
  for (auto& attribute : attributes) {
    if (attribute.first != name) continue;
    attribute.second = std::move(value);
    return;
  }
  attributes.emplace_back(std::string(name), std::move(value));
}

PyValue undefined(std::string message) {
  Budget::charge_new_string(message.size());
  auto data = std::make_shared<UndefinedData>();
  data->message = std::move(message);
  return PyValue::of(Kind::kUndefined, std::move(data));
}

PyValue undefined_name(std::string_view name) {
  return undefined(quoted(name) + " is undefined");
}

PyValue undefined_member(const PyValue& object, std::string_view attribute) {
  return undefined(quoted(describe_type(object)) + " has no attribute " + quoted(attribute));
}

PyValue undefined_element(const PyValue& object, const PyValue& key) {
  if (key.is_string()) return undefined_member(object, key.text());
  std::string shown;
  Budget budget{TemplateLimits{}};
  if (key.is_number() || key.is_none())
    append_repr(&budget, &shown, key);
  else
    shown = "of type " + type_name(key);
  return undefined(describe_type(object) + " has no element " + shown);
}

PyValue unsafe_attribute(const PyValue& object, std::string_view attribute) {
  auto data = std::make_shared<UndefinedData>();
  data->message =
      "access to attribute " + quoted(attribute) + " of " + quoted(type_name(object)) + " object is unsafe.";
  data->unsafe = true;
  return PyValue::of(Kind::kUndefined, std::move(data));
}

void fail_undefined(const PyValue& value) {
  const auto& data = value.as<UndefinedData>();
  fail(data.unsafe ? "SecurityError" : "UndefinedError", data.message);
}

PyValue from_value(const Value& value) {
  if (value.is_null()) return {};
  if (value.is_bool()) return PyValue::boolean(value.as_bool());
  if (value.is_int()) return PyValue::integer(value.as_int());
  if (value.is_double()) return PyValue::real(value.as_double());
  if (value.is_string()) return PyValue::string(value.as_string());
  if (value.is_array()) {
    std::vector<PyValue> items;
    items.reserve(value.as_array().size());
    for (const Value& item : value.as_array()) items.push_back(from_value(item));
    return PyValue::list(std::move(items));
  }
  auto dict = std::make_shared<DictData>();
  for (const Member& member : value.as_object()) dict->append_new(member.key, from_value(member.value));
  return PyValue::of(Kind::kDict, std::move(dict));
}

std::string type_name(const PyValue& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return value.is_markup() ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kDictView:
      switch (value.as<DictViewData>().what) {
        case DictViewData::What::kKeys:
          return "dict_keys";
        case DictViewData::What::kValues:
          return "dict_values";
        default:
          return "dict_items";
      }
    case Kind::kRange:
      return "range";
    case Kind::kGenerator:
      return value.as<GeneratorData>().type_name();
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kObject:
      return value.as<ObjectData>().type_name();
  }
  return {};
}

std::string describe_type(const PyValue& value) {
  if (value.is_none()) return "None";
  std::string name = type_name(value);
  if (value.is(Kind::kNamespace) || name == "Cycler" || name == "Joiner") name = "jinja2.utils." + name;
  if (name == "Markup") name = "markupsafe.Markup";
  if (name == "LoopContext" || name == "Macro") name = "jinja2.runtime." + name;
  return name + " object";
}

bool try_length(const PyValue& value, int64_t* length) {
  switch (value.kind()) {
    case Kind::kUndefined:
      if (value.as<UndefinedData>().unsafe) return false;
      *length = 0;
      return true;
    case Kind::kString:
      *length = value.as<StringData>().length();
      return true;
    case Kind::kList:
    case Kind::kTuple:
      *length = static_cast<int64_t>(value.items().size());
      return true;
    case Kind::kDict:
      *length = static_cast<int64_t>(value.as<DictData>().entries().size());
      return true;
    case Kind::kDictView:
      *length = static_cast<int64_t>(value.as<DictViewData>().dict->entries().size());
      return true;
    case Kind::kRange:
      *length = value.as<RangeData>().size;
      return true;
    default:
      return false;
  }
}

int64_t length_of(const PyValue& value) {
  int64_t length = 0;
  if (!try_length(value, &length)) {
    require_defined(value);
    fail("TypeError", "object of type '" + type_name(value) + "' has no len()");
  }
  return length;
}

bool truthy(const PyValue& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_double() != 0;
    case Kind::kString:
      return !value.text().empty();
    default: {
      int64_t length = 1;
      return !try_length(value, &length) || length != 0;
    }
  }
}

Cursor::Cursor(PyValue source) : source_(std::move(source)) {
  if (!is_iterable(source_)) fail("TypeError", quoted(type_name(source_)) + " object is not iterable");
}

bool Cursor::next(PyValue* item) {
  Budget::charge_item();
  switch (source_.kind()) {
    case Kind::kString: {
      const std::string& text = source_.text();
      if (pos_ >= text.size()) return false;
      std::size_t length = decode_utf8(text, pos_).length;
      *item = PyValue::string(std::string_view(text).substr(pos_, length));
      pos_ += length;
      return true;
    }
    case Kind::kList:
    case Kind::kTuple:
      if (pos_ >= source_.items().size()) return false;
      *item = source_.items()[pos_++];
      return true;
    case Kind::kDict:
      if (pos_ >= source_.as<DictData>().entries().size()) return false;
      *item = source_.as<DictData>().entries()[pos_++].first;
      return true;
    case Kind::kDictView:
      if (pos_ >= source_.as<DictViewData>().dict->entries().size()) return false;
      *item = source_.as<DictViewData>().at(pos_++);
      return true;
    case Kind::kRange:
      if (static_cast<int64_t>(pos_) >= source_.as<RangeData>().size) return false;
      *item = PyValue::integer(source_.as<RangeData>().at(static_cast<int64_t>(pos_++)));
      return true;
    case Kind::kGenerator:
      return source_.as<GeneratorData>().next(item);
    default:
      return false;
  }
}

bool is_iterable(const PyValue& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kDictView:
    case Kind::kRange:
    case Kind::kGenerator:
      return true;
    default:
      return false;
  }
}

std::vector<PyValue> to_vector(Budget* budget, const PyValue& value) {
  Cursor cursor(value);
  std::vector<PyValue> items;
  for (PyValue item; cursor.next(&item); items.push_back(item)) budget->charge(2);  // and its place
  return items;
}

}  // namespace pagoda::jinja
