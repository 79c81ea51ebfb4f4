#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/object_reader.h"
#include "base/status.h"
#include "base/value.h"
#include "openai/lax_values.h"

namespace pagoda {

// Reads the members of one JSON object into variables, each as the schema of vLLM takes it (lax_values.h).
// The first error sticks, and everything after it is skipped, so that a parser is a list of fields with one
// check at its end. A member that is null counts as absent, except those that never_null() names.
class Fields {
 public:
  // The object outlives this. `where` is empty for the body itself.
  explicit Fields(Object* object, std::string where = {}) : members_(object, std::move(where)) {}

  // The member, or nullptr if it is absent or null (or an error has been met).
  Value* get(std::string_view name);
  bool has(std::string_view name) { return get(name) != nullptr; }
  // Whether it is there at all, be it null.
  bool given(std::string_view name) { return find(name) != nullptr; }

  void read(std::string_view name, bool* out);
  void read(std::string_view name, std::string* out);
  // Without bounds, what is beyond int64 is refused, and the rest checked elsewhere.
  void read(std::string_view name, std::optional<int64_t>* out);
  void read(std::string_view name, std::optional<int64_t>* out, int64_t low, int64_t high);
  void read(std::string_view name, int64_t* out, int64_t low, int64_t high);
  void read(std::string_view name, std::optional<double>* out);
  void read(std::string_view name, std::vector<TokenId>* out, std::size_t count_max, TokenIds kind);
  void read(std::string_view name, std::vector<std::string>* out, std::size_t count_max);
  void read(std::string_view name, Object* out);
  void read(std::string_view name, Array* out);
  // Must be a string of these.
  void read_choice(std::string_view name, std::string* out, std::initializer_list<const char*> choices);
  // Those that vLLM's schema does not take null for.
  void never_null(std::initializer_list<const char*> names);

  // Reports that a field of this object does not fit the schema, unless an error has been met already.
  void fail(std::string_view name, std::string_view problem);
  void fail(const Status& error);
  // A field that this server knows and cannot honour: an error that says why, unless nothing is asked for
  // (null, false, 0, "", or a list or object of nothing else).
  void refuse(std::string_view name, std::string_view why);
  // Known, of no effect on the answer here.
  void ignore(std::string_view name) { seen_.insert(name); }

  bool ok() const { return members_.ok(); }
  // Names that were asked for.
  const std::unordered_set<std::string_view>& seen() const { return seen_; }
  // The first error. When all is well, mentions members that were not read in the debug log.
  Status finish() const;

 private:
  Value* find(std::string_view name);
  template <class Parse>
  auto parsed(std::string_view name, Parse parse);

  ObjectReader<Object> members_;
  std::unordered_set<std::string_view> seen_;
};

}  // namespace pagoda
