#include "base/value.h"

#include <utility>

namespace pagoda {

const Value* Object::find(std::string_view key) const {
  for (const Member& member : members_)
    if (member.key == key) return &member.value;
  return nullptr;
}

Value* Object::find(std::string_view key) {
  return const_cast<Value*>(std::as_const(*this).find(key));
}

Value& Object::set(std::string key, Value value) {
  if (Value* found = find(key)) return *found = std::move(value);
  members_.push_back({std::move(key), std::move(value)});
  return members_.back().value;
}

void Object::append(std::string key, Value value) {
  members_.push_back({std::move(key), std::move(value)});
}

bool Object::erase(std::string_view key) {
  for (auto it = members_.begin(); it != members_.end(); ++it) {
    if (it->key != key) continue;
    members_.erase(it);
    return true;
  }
  return false;
}

bool Object::operator==(const Object& other) const {
  if (size() != other.size()) return false;
  for (const Member& member : members_) {
    const Value* theirs = other.find(member.key);
    if (theirs == nullptr || !(member.value == *theirs)) return false;
  }
  return true;
}

Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;

const char* Value::type_name() const {
  static constexpr const char* kNames[] = {"null",   "boolean", "integer", "number",
                                           "string", "array",   "object"};
  return kNames[data_.index()];
}

const Value* Value::find(std::string_view key) const {
  return is_object() ? as_object().find(key) : nullptr;
}

bool Value::operator==(const Value& other) const {
  if (is_number() && other.is_number() && is_int() != other.is_int()) return as_double() == other.as_double();
  return data_ == other.data_;
}

}  // namespace pagoda
