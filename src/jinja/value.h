// Values of the template language: Python's, as far as templates can make them. Everything but a namespace is
// immutable (the sandbox refuses append() and its kin), so copies share, and cycles can only lead through a
// namespace, whose contents the interpreter drops at the end of a rendering. Nesting is bounded when a
// container is made, so that walking and destroying a value never recurses deeply. Integers are 64 bits wide:
// what does not fit is an OverflowError.
//
// Faults are C++ exceptions inside of the interpreter; ChatTemplate turns them into a Status at its door.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/value.h"
#include "jinja/limits.h"

namespace pagoda::jinja {

// A Python exception by its name, or "LimitError" for a bound of TemplateLimits.
struct Fault {
  std::string kind, message;
  int line = 0;  // 0: not known (yet)
};
[[noreturn]] void fail(std::string_view kind, std::string message);
// Fault CancelledError if this thread's work is (base/cancel.h).
void fail_if_cancelled();

// What one rendering may still use. Every node costs a step, and everything whose cost grows with an operand
// costs steps in proportion to it, so that steps bound time and memory at once. Three doors see to that:
// making a value (PyValue::string and its kin) charges its memory, calling a filter, test or method
// (Operation) charges the text that goes in, and what compares, searches and prints charges what it reads.
class Budget {
 public:
  explicit Budget(const TemplateLimits& limits)
      : steps_behind_(limits.steps_max), calls_max_(limits.depth_max), bytes_max_(limits.output_bytes_max) {}

  // Makes this the budget that pays for the values which its thread makes. Outside of a rendering (constants
  // of a template) none does.
  class Use {
   public:
    explicit Use(Budget* budget) : outer_(current_) { current_ = budget; }
    ~Use() { current_ = outer_; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Budget* outer_;
  };
  // Memory of so many bytes has been or is about to be taken for a value.
  static void charge_memory(std::size_t bytes) {
    if (current_ != nullptr) current_->charge(static_cast<int64_t>(bytes / kMemoryPerStep));
  }
  // One item of something that is walked.
  static void charge_item() {
    if (current_ != nullptr) current_->charge();
  }
  static void charge_new_string(std::size_t bytes) {
    if (current_ != nullptr) current_->check_bytes(bytes);
    charge_memory(bytes + 96);
  }

  void charge(int64_t steps = 1) {
    steps_left_ -= steps;
    if (steps_left_ < 0) [[unlikely]]
      next_slice();
  }
  // A string of so many bytes is about to be made.
  void charge_bytes(std::size_t bytes) {
    check_bytes(bytes);
    charge_scan(bytes);
  }
  // So many bytes are about to be copied, compared or searched, many at a time.
  void charge_scan(std::size_t bytes) { charge(static_cast<int64_t>(bytes / 32)); }
  // So many bytes are about to be read character by character.
  void charge_reading(std::size_t bytes) { charge(static_cast<int64_t>(bytes / 8)); }
  // bytes = count * size, without overflow.
  void charge_repeat(std::size_t count, std::size_t size);
  void check_bytes(std::size_t bytes) const {
    if (bytes > bytes_max_) [[unlikely]]
      too_long();
  }

  // One nested node, or (weight kCallWeight) one nested call of a macro.
  class Nest {
   public:
    Nest(Budget* budget, int weight) : budget_(budget), weight_(weight) {
      if ((budget_->nesting_ += weight_) > budget_->calls_max_ * kCallWeight) [[unlikely]] {
        budget_->nesting_ -= weight_;
        too_deep();
      }
    }
    ~Nest() { budget_->nesting_ -= weight_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    Budget* budget_;
    int weight_;
  };
  static constexpr int kCallWeight = 16;

 private:
  static constexpr std::size_t kMemoryPerStep = 16;
  [[noreturn]] static void too_deep();
  void next_slice();
  [[noreturn]] void too_long() const;

  static thread_local Budget* current_;

  // Steps are handed out in slices; between two of them cancellation is checked.
  int64_t steps_left_ = 0, steps_behind_;
  int calls_max_;
  int nesting_ = 0;
  std::size_t bytes_max_;
};

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kDictView,
  kRange,
  kGenerator,
  kNamespace,
  kObject
};

// What shared values have in common: how deep they nest.
struct Heap {
  int depth = 0;
};

class PyValue {
 public:
  PyValue() = default;  // None
  static PyValue boolean(bool b);
  static PyValue integer(int64_t i);
  static PyValue real(double d);
  static PyValue string(std::string text, bool markup = false);
  static PyValue string(std::string_view text) { return string(std::string(text)); }
  static PyValue string(const char* text) { return string(std::string(text)); }
  static PyValue list(std::vector<PyValue> items);
  static PyValue tuple(std::vector<PyValue> items);
  static PyValue group(PyValue grouper, PyValue list);
  static PyValue of(Kind kind, std::shared_ptr<const Heap> heap) {
    PyValue value;
    value.kind_ = kind;
    value.heap_ = std::move(heap);
    return value;
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_dict() const { return kind_ == Kind::kDict; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  // Requires: the value is of that kind.
  bool as_bool() const { return integer_ != 0; }
  int64_t as_int() const { return integer_; }  // also of a bool
  double as_double() const { return kind_ == Kind::kFloat ? real_ : static_cast<double>(integer_); }
  const std::string& text() const;
  bool is_markup() const;
  const std::vector<PyValue>& items() const;  // of a list or tuple
  template <class T>
  const T& as() const {
    return *static_cast<const T*>(heap_.get());
  }
  const Heap* heap() const { return heap_.get(); }
  template <class T>
  std::shared_ptr<const T> share() const {
    return std::static_pointer_cast<const T>(heap_);
  }

 private:
  Kind kind_ = Kind::kNone;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<const Heap> heap_;
};

struct StringData : Heap {
  std::string text;
  bool markup = false;                     // made by `safe` or `escape`: adding to it escapes
  mutable std::atomic<int64_t> chars{-1};  // number of code points; -1: not counted yet
  int64_t length() const;
  bool is_ascii() const { return length() == static_cast<int64_t>(text.size()); }
};

struct SequenceData : Heap {
  std::vector<PyValue> items;
  bool group = false;  // of groupby: the items are also called `grouper` and `list`
};

// Insertion order. String keys are indexed; others (rare) are searched one after the other.
class DictData : public Heap {
 public:
  using Entry = std::pair<PyValue, PyValue>;
  const std::vector<Entry>& entries() const { return entries_; }
  const PyValue* find(Budget* budget, std::string_view key) const;
  // Also numbers, None, tuples. Fault TypeError if the key is not hashable.
  const PyValue* find(Budget* budget, const PyValue& key) const;
  // Only while it is being made.
  void set(Budget* budget, PyValue key, PyValue value);
  void append_new(std::string key, PyValue value);

 private:
  void insert(PyValue key, PyValue value);
  static constexpr std::size_t kLinearMax = 8;
  std::vector<Entry> entries_;
  std::unordered_map<std::string_view, std::size_t, KeyHash> index_;
};

struct DictViewData : Heap {
  enum class What { kKeys, kValues, kItems };
  std::shared_ptr<const DictData> dict;
  What what = What::kKeys;
  PyValue at(std::size_t i) const;
};

struct RangeData : Heap {
  int64_t start = 0, stop = 0, step = 1, size = 0;
  int64_t at(int64_t i) const {  // wraps instead of overflowing where `stop` lies beyond the last int64
    return static_cast<int64_t>(static_cast<uint64_t>(start) +
                                static_cast<uint64_t>(step) * static_cast<uint64_t>(i));
  }
};

// An iterator that can be walked once: what map, select and other filters return.
class GeneratorData : public Heap {
 public:
  GeneratorData(Budget* budget, const PyValue& source);
  virtual ~GeneratorData() = default;
  // Fault ValueError if the generator is asked while it is working on an answer.
  bool next(PyValue* item) const;
  virtual const char* type_name() const { return "generator"; }
  // Forgets the values it has seen, which might lead back to itself.
  virtual void release() const {}

 protected:
  virtual bool step(PyValue* item) const = 0;
  Budget* budget_;

 private:
  mutable bool running_ = false;
};

struct NamespaceData : Heap {
  mutable std::vector<std::pair<std::string, PyValue>> attributes;
  const PyValue* find(Budget* budget, std::string_view name) const;
  void set(Budget* budget, std::string_view name, PyValue value) const;
};

struct UndefinedData : Heap {
  std::string message;
  bool unsafe = false;  // using it is a SecurityError
};

class Interpreter;
struct Arguments {
  std::vector<PyValue> positional;
  std::vector<std::pair<std::string, PyValue>> named;
};

// A function, macro, bound method, loop, cycler or joiner.
class ObjectData : public Heap {
 public:
  virtual ~ObjectData() = default;
  virtual const char* type_name() const = 0;
  virtual bool callable() const { return true; }
  virtual PyValue call(Interpreter& interpreter, Arguments& arguments) const = 0;
  // False: no such attribute.
  virtual bool attribute(std::string_view /*name*/, PyValue* /*value*/) const { return false; }
};

// The depth of something that holds `value`. Fault LimitError if that is too deep.
int depth_above(const PyValue& value);

PyValue undefined(std::string message);
PyValue undefined_name(std::string_view name);
PyValue undefined_member(const PyValue& object, std::string_view attribute);
PyValue undefined_element(const PyValue& object, const PyValue& key);
PyValue unsafe_attribute(const PyValue& object, std::string_view attribute);
[[noreturn]] void fail_undefined(const PyValue& undefined);
// Fault UndefinedError if the value is undefined.
inline void require_defined(const PyValue& value) {
  if (value.is_undefined()) [[unlikely]]
    fail_undefined(value);
}

// A request's or file's value. Arrays become lists, objects dicts.
PyValue from_value(const Value& value);

// type(value).__name__
std::string type_name(const PyValue& value);
// "dict object", "None": the object of "... has no attribute".
std::string describe_type(const PyValue& value);

bool truthy(const PyValue& value);
// len(); false if the value has none.
bool try_length(const PyValue& value, int64_t* length);
int64_t length_of(const PyValue& value);

bool equals(Budget* budget, const PyValue& a, const PyValue& b);
bool hashable(Budget* budget, const PyValue& value);
enum class Order { kLess, kLessEqual, kGreater, kGreaterEqual };
// Fault TypeError where Python does not order the two.
bool compare(Budget* budget, Order order, const PyValue& a, const PyValue& b);

// str(value) and repr(value), appended.
void append_str(Budget* budget, std::string* out, const PyValue& value);
void append_repr(Budget* budget, std::string* out, const PyValue& value);
std::string to_str(Budget* budget, const PyValue& value);

// iter(): walks any iterable. Fault TypeError where there is nothing to walk.
class Cursor {
 public:
  Cursor() = default;
  explicit Cursor(PyValue source);
  bool next(PyValue* item);

 private:
  PyValue source_;
  std::size_t pos_ = 0;
};
bool is_iterable(const PyValue& value);
std::vector<PyValue> to_vector(Budget* budget, const PyValue& value);

}  // namespace pagoda::jinja
