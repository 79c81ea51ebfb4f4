#include "base/value.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/hash.h"

namespace pagoda {
namespace {

constexpr std::size_t kScannedMembers = 16;  // up to here reading through all keys is as fast as hashing one
constexpr uint32_t kFree = UINT32_MAX;

}  // namespace

std::size_t heap_bytes(const std::string& text) {
  constexpr std::size_t kInPlace = 15;
  return text.capacity() <= kInPlace ? 0 : text.capacity() + kHeapOverhead;
}

std::size_t heap_bytes(const Array& array) {
  std::size_t bytes = array.capacity() == 0 ? 0 : array.capacity() * sizeof(Value) + kHeapOverhead;
  for (const Value& item : array) bytes += item.heap_bytes();
  return bytes;
}

std::size_t Object::heap_bytes() const {
  std::size_t bytes = capacity() == 0 ? 0 : capacity() * sizeof(Member) + kHeapOverhead;
  if (slots_ != nullptr) bytes += slots_->capacity() * sizeof(uint32_t) + kHeapOverhead;
  for (const Member& member : members_) bytes += pagoda::heap_bytes(member.key) + member.value.heap_bytes();
  return bytes;
}

std::size_t Value::heap_bytes() const {
  if (is_string()) return pagoda::heap_bytes(as_string());
  if (is_array()) return pagoda::heap_bytes(as_array());
  return is_object() ? as_object().heap_bytes() : 0;
}

Object::Object() = default;
Object::Object(Object&& other) noexcept = default;
Object& Object::operator=(Object&& other) noexcept = default;
Object::~Object() = default;

Object::Object(const Object& other)
    : members_(other.members_),
      slots_(other.slots_ ? std::make_unique<std::vector<uint32_t>>(*other.slots_) : nullptr) {}

Object& Object::operator=(const Object& other) {
  return *this = Object(other);
}

std::size_t Object::slot_of(std::string_view key) const {
  const std::vector<uint32_t>& slots = *slots_;
  std::size_t at = KeyHash()(key) & (slots.size() - 1);
  while (slots[at] != kFree && members_[slots[at]].key != key) at = (at + 1) & (slots.size() - 1);
  return at;
}

void Object::index_members() {
  slots_ = std::make_unique<std::vector<uint32_t>>(std::bit_ceil(members_.size() * 4), kFree);
  for (std::size_t i = 0; i < members_.size(); ++i)
    (*slots_)[slot_of(members_[i].key)] = static_cast<uint32_t>(i);
}

const Value* Object::find(std::string_view key) const {
  if (slots_) {
    uint32_t position = (*slots_)[slot_of(key)];
    return position == kFree ? nullptr : &members_[position].value;
  }
  for (const Member& member : members_)
    if (member.key == key) return &member.value;
  return nullptr;
}

Value* Object::find(std::string_view key) {
  return const_cast<Value*>(std::as_const(*this).find(key));
}

Value& Object::set(std::string key, Value value) {
  if (!slots_ && members_.size() >= kScannedMembers) index_members();
  if (Value* found = find(key)) return *found = std::move(value);
  append(std::move(key), std::move(value));
  return members_.back().value;
}

void Object::append(std::string key, Value value) {
  members_.push_back({std::move(key), std::move(value)});
  if (!slots_) return;
  if (members_.size() * 2 > slots_->size()) return index_members();
  (*slots_)[slot_of(members_.back().key)] = static_cast<uint32_t>(members_.size() - 1);
}

bool Object::erase(std::string_view key) {
  auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.key == key; });
  if (found == members_.end()) return false;
  members_.erase(found);
  if (slots_) index_members();
  return true;
}

bool Object::operator==(const Object& other) const {
  if (size() != other.size()) return false;
  auto by_key = [](const Object& object) {
    std::vector<const Member*> members;
    for (const Member& member : object) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
    return members;
  };
  std::vector<const Member*> mine = by_key(*this), theirs = by_key(other);
  return std::equal(mine.begin(), mine.end(), theirs.begin(), [](const Member* a, const Member* b) {
    return a->key == b->key && a->value == b->value;
  });
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
