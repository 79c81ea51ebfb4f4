#include "model/config_reader.h"

#include <fmt/format.h>

#include "base/excerpt.h"
#include "base/log.h"

namespace pagoda {
namespace {

// The value as text, short enough for a message.
std::string shown(const Value& value) {
  constexpr std::size_t kShown = 80;
  return json_excerpt(value, kShown);
}

}  // namespace

ConfigReader::ConfigReader(const Value& object, std::string where)
    : members_(object.is_object() ? &object.as_object() : nullptr, std::move(where)) {
  if (!object.is_object()) fail(fmt::format("expected an object, found {}", object.type_name()));
}

void ConfigReader::fail(const std::string& message) {
  members_.fail(invalid_argument(message));
}

void ConfigReader::missing(std::string_view key) {
  fail(fmt::format("`{}` is missing", members_.location(key)));
}

void ConfigReader::expected(std::string_view key, const std::string& what, const Value& found) {
  fail(fmt::format("`{}`: expected {}, found {}", members_.location(key), what, shown(found)));
}

int64_t ConfigReader::integer(std::string_view key, std::optional<int64_t> fallback, int64_t min,
                              int64_t max) {
  const Value* value = members_.get(key);
  const int64_t instead = fallback.value_or(min);
  if (value == nullptr) {
    if (!fallback) missing(key);
    return instead;
  }
  if (value->is_int() && value->as_int() >= min && value->as_int() <= max) return value->as_int();
  expected(key, fmt::format("an integer from {} to {}", min, max), *value);
  return instead;
}

double ConfigReader::number(std::string_view key, std::optional<double> fallback, double min, double max) {
  const Value* value = members_.get(key);
  const double instead = fallback.value_or(min);
  if (value == nullptr) {
    if (!fallback) missing(key);
    return instead;
  }
  if (value->is_number() && value->as_double() >= min && value->as_double() <= max) return value->as_double();
  expected(key, fmt::format("a number from {} to {}", min, max), *value);
  return instead;
}

bool ConfigReader::boolean(std::string_view key, bool fallback) {
  const Value* value = members_.get(key);
  if (value == nullptr) return fallback;
  if (value->is_bool()) return value->as_bool();
  expected(key, "true or false", *value);
  return fallback;
}

std::string ConfigReader::string(std::string_view key, std::string_view fallback) {
  const Value* value = members_.get(key);
  if (value != nullptr && value->is_string()) return value->as_string();
  if (value != nullptr) expected(key, "a string", *value);
  return std::string(fallback);
}

std::vector<double> ConfigReader::numbers(std::string_view key, std::size_t count, double min, double max) {
  const Value* value = members_.get(key);
  if (value == nullptr) {
    missing(key);
    return std::vector<double>(count, min);
  }
  std::vector<double> numbers;
  if (value->is_array())
    for (const Value& item : value->as_array())
      if (item.is_number() && item.as_double() >= min && item.as_double() <= max)
        numbers.push_back(item.as_double());
  if (!value->is_array() || value->as_array().size() != count || numbers.size() != count) {
    expected(key, fmt::format("a list of {} numbers from {} to {}", count, min, max), *value);
    numbers.assign(count, min);
  }
  return numbers;
}

std::vector<std::string> ConfigReader::strings(std::string_view key) {
  const Value* value = members_.get(key);
  std::vector<std::string> strings;
  if (value == nullptr) return strings;
  if (value->is_array())
    for (const Value& item : value->as_array())
      if (item.is_string()) strings.push_back(item.as_string());
  if (!value->is_array() || strings.size() != value->as_array().size()) {
    expected(key, "a list of strings", *value);
    strings.clear();
  }
  return strings;
}

std::vector<int32_t> ConfigReader::token_ids(std::string_view key, int64_t vocab_size) {
  constexpr std::size_t kIdsMax = 1024;
  const Value* value = members_.get(key);
  if (value == nullptr) return {};
  const Array one{*value};
  const Array& items = value->is_array() ? value->as_array() : one;
  std::vector<int32_t> ids;
  std::vector<int64_t> unknown;
  for (const Value& item : items) {
    if (!item.is_int() || items.size() > kIdsMax) {
      expected(key, "a token id or a list of them", *value);
      return {};
    }
    if (item.as_int() >= 0 && item.as_int() < vocab_size)
      ids.push_back(static_cast<int32_t>(item.as_int()));
    else if (item.as_int() != -1)
      unknown.push_back(item.as_int());
  }
  if (!unknown.empty())
    log_warning("`{}`: not used: {}: the vocabulary has {} tokens", members_.location(key),
                fmt::join(unknown, ", "), vocab_size);
  return ids;
}

const Value* ConfigReader::object(std::string_view key) {
  const Value* value = members_.get(key);
  if (value == nullptr || value->is_object()) return value;
  expected(key, "an object", *value);
  return nullptr;
}

}  // namespace pagoda
