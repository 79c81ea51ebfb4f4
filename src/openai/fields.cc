#include "openai/fields.h"

#include <fmt/format.h>

#include <cmath>

#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"

namespace pagoda {
namespace {

constexpr std::size_t kIndexedMembers = 48;
constexpr std::size_t kQuotedBytes = 60;
// Doubles hold every integer below this exactly.
constexpr double kExactIntegers = 9007199254740992.0;

std::string range_text(const NumberRange& range) {
  if (std::isinf(range.high))
    return fmt::format("Input should be greater than {}{:g}", range.above ? "" : "or equal to ", range.low);
  return fmt::format("Input should be in {}{:g}, {:g}]", range.above ? '(' : '[', range.low, range.high);
}

}  // namespace

std::string join_location(std::string_view parent, std::string_view child) {
  return parent.empty() ? std::string(child) : fmt::format("{}.{}", parent, child);
}
std::string join_location(std::string_view parent, std::size_t index) {
  return fmt::format("{}.{}", parent, index);
}

Status field_error(std::string where, std::string_view problem) {
  std::string message = fmt::format("{}: {}", where, problem);
  return invalid_argument(std::move(message), std::move(where));
}

std::string describe_value(const Value& value) {
  if (value.is_array() || value.is_object() || value.is_null())
    return fmt::format("got {}", value.type_name());
  std::string text;
  if (value.is_string()) {
    std::string_view head = value.as_string();
    if (head.size() > kQuotedBytes) {
      head = head.substr(0, kQuotedBytes);
      text = write_json(Value(head.substr(0, complete_utf8_prefix(head)))) + "...";
    } else {
      text = write_json(value);
    }
  } else {
    text = write_json(value);
  }
  return fmt::format("got {} {}", value.type_name(), text);
}

Result<int64_t> judge_integer(const Value& value, int64_t low, int64_t high, std::string where) {
  int64_t number = 0;
  if (value.is_int()) {
    number = value.as_int();
  } else if (value.is_double() && std::abs(value.as_double()) < kExactIntegers &&
             std::trunc(value.as_double()) == value.as_double()) {
    number = static_cast<int64_t>(value.as_double());
  } else {
    return field_error(std::move(where), "Input should be a valid integer, " + describe_value(value));
  }
  if (number < low)
    return field_error(std::move(where),
                       fmt::format("Input should be greater than or equal to {}, got {}", low, number));
  if (number > high)
    return field_error(std::move(where),
                       fmt::format("Input should be less than or equal to {}, got {}", high, number));
  return number;
}

Result<double> judge_number(const Value& value, const NumberRange& range, std::string where) {
  if (!value.is_number() || !std::isfinite(value.as_double()))
    return field_error(std::move(where), "Input should be a valid number, " + describe_value(value));
  double number = value.as_double();
  if (number < range.low || number > range.high || (range.above && number == range.low))
    return field_error(std::move(where), fmt::format("{}, {}", range_text(range), describe_value(value)));
  return number;
}

Result<std::string> judge_string(const Value& value, std::string where) {
  if (!value.is_string())
    return field_error(std::move(where), "Input should be a valid string, " + describe_value(value));
  return value.as_string();
}

Fields::Fields(Object* object, std::string where) : object_(object), where_(std::move(where)) {
  if (object_->size() <= kIndexedMembers) return;
  index_.reserve(object_->size());
  for (Member& member : *object_) index_.emplace(member.key, &member.value);
}

Value* Fields::get(std::string_view name) {
  if (!ok()) return nullptr;
  seen_.insert(name);
  Value* value = nullptr;
  if (index_.empty()) {
    value = object_->find(name);
  } else if (auto found = index_.find(name); found != index_.end()) {
    value = found->second;
  }
  return value != nullptr && value->is_null() ? nullptr : value;
}

void Fields::read(std::string_view name, bool* out) {
  const Value* value = get(name);
  if (value == nullptr) return;
  if (!value->is_bool()) return fail(name, "Input should be a valid boolean, " + describe_value(*value));
  *out = value->as_bool();
}

void Fields::read(std::string_view name, std::string* out) {
  Value* value = get(name);
  if (value == nullptr) return;
  if (!value->is_string()) return fail(name, "Input should be a valid string, " + describe_value(*value));
  *out = value->as_string();
}

void Fields::read(std::string_view name, int64_t* out, int64_t low, int64_t high) {
  std::optional<int64_t> number;
  read(name, &number, low, high);
  if (number) *out = *number;
}

void Fields::read(std::string_view name, int32_t* out, int64_t low, int64_t high) {
  std::optional<int64_t> number;
  read(name, &number, low, high);
  if (number) *out = static_cast<int32_t>(*number);
}

void Fields::read(std::string_view name, std::optional<int64_t>* out, int64_t low, int64_t high) {
  const Value* value = get(name);
  if (value == nullptr) return;
  Result<int64_t> number = judge_integer(*value, low, high, join_location(where_, name));
  if (!number.ok()) return fail(number.status());
  *out = *number;
}

void Fields::read(std::string_view name, std::optional<double>* out, const NumberRange& range) {
  const Value* value = get(name);
  if (value == nullptr) return;
  Result<double> number = judge_number(*value, range, join_location(where_, name));
  if (!number.ok()) return fail(number.status());
  *out = *number;
}

void Fields::read(std::string_view name, std::vector<int32_t>* out, std::size_t count_max) {
  const Value* value = get(name);
  if (value == nullptr) return;
  if (!value->is_array())
    return fail(name, "Input should be a valid list of token ids, " + describe_value(*value));
  const Array& items = value->as_array();
  if (items.size() > count_max)
    return fail(name, fmt::format("List should have at most {} items, got {}", count_max, items.size()));
  out->reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_int() && items[i].as_int() >= 0 &&
        items[i].as_int() <= kInt32Max) {  // without building a location
      out->push_back(static_cast<int32_t>(items[i].as_int()));
      continue;
    }
    Result<int64_t> id = judge_integer(items[i], 0, kInt32Max, join_location(join_location(where_, name), i));
    if (!id.ok()) return fail(id.status());
    out->push_back(static_cast<int32_t>(*id));
  }
}

void Fields::read(std::string_view name, std::vector<std::string>* out, std::size_t count_max) {
  Value* value = get(name);
  if (value == nullptr) return;
  if (!value->is_array())
    return fail(name, "Input should be a valid list of strings, " + describe_value(*value));
  Array& items = value->as_array();
  if (items.size() > count_max)
    return fail(name, fmt::format("List should have at most {} items, got {}", count_max, items.size()));
  out->reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_string())
      return fail(field_error(join_location(join_location(where_, name), i),
                              "Input should be a valid string, " + describe_value(items[i])));
    out->push_back(std::move(items[i].as_string()));
  }
}

void Fields::read(std::string_view name, Object* out) {
  Value* value = get(name);
  if (value == nullptr) return;
  if (!value->is_object()) return fail(name, "Input should be a valid object, " + describe_value(*value));
  *out = std::move(value->as_object());
}

void Fields::read(std::string_view name, Array* out) {
  Value* value = get(name);
  if (value == nullptr) return;
  if (!value->is_array()) return fail(name, "Input should be a valid list, " + describe_value(*value));
  *out = std::move(value->as_array());
}

void Fields::fail(std::string_view name, std::string_view problem) {
  if (ok()) status_ = field_error(join_location(where_, name), problem);
}

void Fields::fail(const Status& error) {
  if (ok()) status_ = error;
}

void Fields::refuse(std::string_view name, std::string_view why) {
  if (has(name)) fail(name, why);
}

void Fields::refuse_unless(std::string_view name, const Value& harmless, std::string_view why) {
  const Value* value = get(name);
  if (value != nullptr && !(*value == harmless)) fail(name, why);
}

Status Fields::finish() const {
  if (ok() && log_enabled(LogLevel::kDebug)) {
    std::size_t shown = 0;
    for (const Member& member : *object_) {
      if (seen_.count(member.key) != 0 || ++shown > 10) continue;
      log_debug("The request has a field that is not known and is ignored: {}",
                join_location(where_, std::string_view(member.key).substr(0, kQuotedBytes)));
    }
  }
  return status_;
}

}  // namespace pagoda
