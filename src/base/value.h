// Value: null, bool, int64, double, string, array or ordered object. What JSON and YAML become once they are
// inside, and what the opaque trees (messages, tools, template arguments, schemas) stay.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pagoda {

class Value;
struct Member;

using Array = std::vector<Value>;

// What a block of the heap takes beyond what was asked for.
inline constexpr std::size_t kHeapOverhead = 16;
// What all of it takes beyond its own size.
std::size_t heap_bytes(const std::string& text);
std::size_t heap_bytes(const Array& array);

// Members in insertion order, keys unique. set() makes an index of a large object and keeps it, so that n
// keys cost O(n); an object that was only appended to (a vocabulary of JSON) has none, is walked, and find()
// reads through it.
class Object {
 public:
  // Out of line: Member is not complete yet.
  Object();
  Object(const Object& other);
  Object(Object&& other) noexcept;
  Object& operator=(const Object& other);
  Object& operator=(Object&& other) noexcept;
  ~Object();
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  // Replaces the value of an existing key, which keeps its place, or appends.
  Value& set(std::string key, Value value);
  // Appends without looking for the key. Requires: the key is not there yet.
  void append(std::string key, Value value);
  // Costs O(n): for a few keys, not for many.
  bool erase(std::string_view key);
  std::size_t size() const;
  bool empty() const;
  std::size_t capacity() const;  // members for which it has memory
  std::vector<Member>::const_iterator begin() const;
  std::vector<Member>::const_iterator end() const;
  std::vector<Member>::iterator begin();
  std::vector<Member>::iterator end();
  bool operator==(const Object& other) const;  // order does not matter
  std::size_t heap_bytes() const;

 private:
  // The slot that holds the key's position, or the free one where it belongs. Requires: there is an index.
  std::size_t slot_of(std::string_view key) const;
  void index_members();

  std::vector<Member> members_;
  // Open addressing, a power of two of slots, at most half of them taken: positions in members_. Members keep
  // their keys: none is changed through an iterator.
  std::unique_ptr<std::vector<uint32_t>> slots_;
};

class Value {
 public:
  // Out of line: a variant's special members are large, and this type is everywhere.
  Value() = default;
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();
  Value(std::nullptr_t) {}                               // NOLINT: implicit on purpose, all of these
  Value(bool b) : data_(b) {}                            // NOLINT
  Value(int i) : data_(static_cast<int64_t>(i)) {}       // NOLINT
  Value(unsigned i) : data_(static_cast<int64_t>(i)) {}  // NOLINT
  Value(int64_t i) : data_(i) {}                         // NOLINT
  Value(uint64_t i) : data_(static_cast<int64_t>(i)) {}  // NOLINT
  Value(double d) : data_(d) {}                          // NOLINT
  Value(const char* s) : data_(std::string(s)) {}        // NOLINT
  Value(std::string_view s) : data_(std::string(s)) {}   // NOLINT
  Value(std::string s) : data_(std::move(s)) {}          // NOLINT
  Value(Array a) : data_(std::move(a)) {}                // NOLINT
  Value(Object o) : data_(std::move(o)) {}               // NOLINT

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_int() const { return std::holds_alternative<int64_t>(data_); }
  bool is_double() const { return std::holds_alternative<double>(data_); }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }
  // "null", "boolean", "integer", "number", "string", "array", "object": for error messages.
  const char* type_name() const;

  // Requires: the value is of that kind (as_double also takes an integer).
  bool as_bool() const { return std::get<bool>(data_); }
  int64_t as_int() const { return std::get<int64_t>(data_); }
  double as_double() const { return is_int() ? static_cast<double>(as_int()) : std::get<double>(data_); }
  const std::string& as_string() const { return std::get<std::string>(data_); }
  std::string& as_string() { return std::get<std::string>(data_); }
  const Array& as_array() const { return std::get<Array>(data_); }
  Array& as_array() { return std::get<Array>(data_); }
  const Object& as_object() const { return std::get<Object>(data_); }
  Object& as_object() { return std::get<Object>(data_); }

  // Member of an object; nullptr if this is not an object or has no such key.
  const Value* find(std::string_view key) const;

  bool operator==(const Value& other) const;
  std::size_t heap_bytes() const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> data_;
};

struct Member {
  std::string key;
  Value value;
};

inline std::size_t Object::size() const {
  return members_.size();
}
inline std::size_t Object::capacity() const {
  return members_.capacity();
}
inline bool Object::empty() const {
  return members_.empty();
}
inline std::vector<Member>::const_iterator Object::begin() const {
  return members_.begin();
}
inline std::vector<Member>::const_iterator Object::end() const {
  return members_.end();
}
inline std::vector<Member>::iterator Object::begin() {
  return members_.begin();
}
inline std::vector<Member>::iterator Object::end() {
  return members_.end();
}

}  // namespace pagoda
