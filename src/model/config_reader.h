#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/object_reader.h"
#include "base/status.h"
#include "base/value.h"

namespace pagoda {

// Reads fields of a config.json object and checks them: kinds and ranges. The first thing wrong is kept;
// after it every read returns its fallback, so that a family reads straight through and asks once, at the
// end. null counts as absent.
class ConfigReader {
 public:
  // `object` outlives the reader. `where`: the field that holds it ("rope_scaling").
  explicit ConfigReader(const Value& object, std::string where = {});

  bool has(std::string_view key) const { return members_.get(key) != nullptr; }
  bool is_null(std::string_view key) const { return members_.find(key) != nullptr && !has(key); }
  // Without a fallback the field is required.
  int64_t integer(std::string_view key, std::optional<int64_t> fallback, int64_t min, int64_t max);
  double number(std::string_view key, std::optional<double> fallback, double min, double max);
  bool boolean(std::string_view key, bool fallback);
  std::string string(std::string_view key, std::string_view fallback);
  // `count` numbers. Requires that they be there.
  std::vector<double> numbers(std::string_view key, std::size_t count, double min, double max);
  // Empty if absent.
  std::vector<std::string> strings(std::string_view key);
  // One id or a list of them; without those that the model does not have: -1 stands for none, others are
  // never met, which a warning says.
  std::vector<int32_t> token_ids(std::string_view key, int64_t vocab_size);
  // A nested object; nullptr if absent.
  const Value* object(std::string_view key);

  void fail(const std::string& message);  // keeps the first
  const Status& status() const { return members_.status(); }

 private:
  void missing(std::string_view key);
  void expected(std::string_view key, const std::string& what, const Value& found);

  ObjectReader<const Object> members_;
};

}  // namespace pagoda
