#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

inline constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();
inline constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();

// What a number must satisfy. `above`: the lower bound itself is excluded.
struct NumberRange {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool above = false;
};

// Where `child` lies: "messages" + "0" -> "messages.0".
std::string join_location(std::string_view parent, std::string_view child);
std::string join_location(std::string_view parent, std::size_t index);

// `where: problem`, as kInvalidArgument with `where` as its param.
Status field_error(std::string where, std::string_view problem);
// "got string \"abc\"", clipped: what an error quotes of the input.
std::string describe_value(const Value& value);

// Judges of single values; the error names `where`. A whole double such as 16.0 counts as an integer, a
// boolean never counts as a number, a string never as either.
Result<int64_t> judge_integer(const Value& value, int64_t low, int64_t high, std::string where);
Result<double> judge_number(const Value& value, const NumberRange& range, std::string where);
Result<std::string> judge_string(const Value& value, std::string where);

// Reads the members of one JSON object into variables. The first error sticks, and everything after it is
// skipped, so that a parser is a list of fields with one check at its end. A member that is null counts as
// absent: clients send the defaults of their own classes that way.
class Fields {
 public:
  // The object outlives this. `where` is empty for the body itself.
  explicit Fields(Object* object, std::string where = {});

  // The member, or nullptr if it is absent or null (or an error has been met).
  Value* get(std::string_view name);
  bool has(std::string_view name) { return get(name) != nullptr; }

  void read(std::string_view name, bool* out);
  void read(std::string_view name, std::string* out);
  void read(std::string_view name, int64_t* out, int64_t low, int64_t high);
  void read(std::string_view name, int32_t* out, int64_t low, int64_t high);
  void read(std::string_view name, std::optional<int64_t>* out, int64_t low, int64_t high);
  void read(std::string_view name, std::optional<double>* out, const NumberRange& range);
  void read(std::string_view name, std::vector<int32_t>* out, std::size_t count_max);
  void read(std::string_view name, std::vector<std::string>* out, std::size_t count_max);
  void read(std::string_view name, Object* out);
  void read(std::string_view name, Array* out);

  // Reports an error about a field of this object, unless one has been met already.
  void fail(std::string_view name, std::string_view problem);
  void fail(const Status& error);
  // A field that this server knows and cannot honour: anything but absent, null or `harmless` is an error
  // that says why.
  void refuse(std::string_view name, std::string_view why);
  void refuse_unless(std::string_view name, const Value& harmless, std::string_view why);
  // Known, of no effect on the answer here.
  void ignore(std::string_view name) { seen_.insert(name); }

  bool ok() const { return status_.ok(); }
  // The first error. When all is well, mentions members that nobody asked for in the debug log.
  Status finish() const;

 private:
  Object* object_;
  std::string where_;
  Status status_;
  std::unordered_map<std::string_view, Value*> index_;  // of large objects only: find() is linear
  std::unordered_set<std::string_view> seen_;
};

}  // namespace pagoda
