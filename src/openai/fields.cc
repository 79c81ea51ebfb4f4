#include "openai/fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace pagoda {
namespace {

constexpr std::size_t kLoggedBytes = 60;

// Whether a field asks for nothing: {}, {"do_remote_prefill": false}, [null].
bool asks_nothing(const Value& value) {
  auto nothing = [](const Value& inner) { return asks_nothing(inner); };
  if (value.is_array()) return std::all_of(value.as_array().begin(), value.as_array().end(), nothing);
  if (value.is_object())
    return std::all_of(value.as_object().begin(), value.as_object().end(),
                       [](const Member& member) { return asks_nothing(member.value); });
  return !is_truthy(&value);
}

Status too_many(std::string_view where, std::size_t most, std::size_t got) {
  return field_error(where, fmt::format("List should have at most {} items, got {}", most, got));
}

}  // namespace

Value* Fields::find(std::string_view name) {
  if (ok()) seen_.insert(name);
  return members_.find(name);
}

Value* Fields::get(std::string_view name) {
  if (ok()) seen_.insert(name);
  return members_.get(name);
}

// What `parse` makes of the member; nullopt if there is none, or if it is wrong, which then is the error.
template <class Parse>
auto Fields::parsed(std::string_view name, Parse parse) {
  const Value* value = get(name);
  using Out = std::decay_t<decltype(*parse(*value, std::string()))>;
  std::optional<Out> out;
  if (value == nullptr) return out;
  auto result = parse(*value, members_.location(name));
  if (result.ok())
    out = std::move(*result);
  else
    fail(result.status());
  return out;
}

void Fields::read(std::string_view name, bool* out) {
  if (auto flag = parsed(name, parse_bool)) *out = *flag;
}

void Fields::read(std::string_view name, std::string* out) {
  if (auto text = parsed(name, parse_string)) *out = std::move(*text);
}

void Fields::read(std::string_view name, std::optional<int64_t>* out) {
  auto number = parsed(name, [&](const Value& value, const std::string& where) -> Result<int64_t> {
    Result<int64_t> whole = parse_integer(value, kInt64Min, kInt64Max, where);
    if (whole.ok() || !parse_integer(value, where).ok()) return whole;
    return invalid_argument(whole.status().message(), where);  // it fits the schema, which has no bounds
  });
  if (number) *out = number;
}

void Fields::read(std::string_view name, std::optional<int64_t>* out, int64_t low, int64_t high) {
  auto number = parsed(name, [&](const Value& value, const std::string& where) {
    return parse_integer(value, low, high, where);
  });
  if (number) *out = number;
}

void Fields::read(std::string_view name, int64_t* out, int64_t low, int64_t high) {
  std::optional<int64_t> number;
  read(name, &number, low, high);
  if (number) *out = *number;
}

void Fields::read(std::string_view name, std::optional<double>* out) {
  if (auto number = parsed(name, parse_number)) *out = number;
}

void Fields::read(std::string_view name, std::vector<TokenId>* out, std::size_t count_max, TokenIds kind) {
  const Value* value = get(name);
  if (value == nullptr) return;
  const std::string where = members_.location(name);
  if (!value->is_array()) return fail(type_error(where, "a valid list", *value));
  const Array& items = value->as_array();
  if (items.size() > count_max) return fail(too_many(where, count_max, items.size()));
  out->reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_int() && items[i].as_int() >= 0 && items[i].as_int() <= kInt32Max) {
      out->push_back(static_cast<TokenId>(items[i].as_int()));  // without building a location
      continue;
    }
    Result<TokenId> id = parse_token_id(items[i], join_location(where, i), where, kind);
    if (!id.ok()) return fail(id.status());
    out->push_back(*id);
  }
}

void Fields::read(std::string_view name, std::vector<std::string>* out, std::size_t count_max) {
  Value* value = get(name);
  if (value == nullptr) return;
  const std::string where = members_.location(name);
  if (!value->is_array()) return fail(type_error(where, "a valid list", *value));
  Array& items = value->as_array();
  if (items.size() > count_max) return fail(too_many(where, count_max, items.size()));
  out->reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_string()) return fail(type_error(join_location(where, i), "a valid string", items[i]));
    out->push_back(std::move(items[i].as_string()));
  }
}

void Fields::read(std::string_view name, Object* out) {
  Value* value = get(name);
  if (value == nullptr) return;
  if (!value->is_object()) return fail(type_error(members_.location(name), "a valid dictionary", *value));
  *out = std::move(value->as_object());
}

void Fields::read(std::string_view name, Array* out) {
  Value* value = get(name);
  if (value == nullptr) return;
  if (!value->is_array()) return fail(type_error(members_.location(name), "a valid list", *value));
  *out = std::move(value->as_array());
}

void Fields::read_choice(std::string_view name, std::string* out,
                         std::initializer_list<const char*> choices) {
  const Value* value = get(name);
  if (value == nullptr) return;
  bool known =
      value->is_string() && std::find(choices.begin(), choices.end(), value->as_string()) != choices.end();
  if (!known)
    return fail(name, fmt::format("Input should be one of '{}', {}", fmt::join(choices, "', '"),
                                  describe_value(*value)));
  *out = value->as_string();
}

void Fields::never_null(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const Value* value = find(name);
    if (value != nullptr && value->is_null()) fail(name, "Input should be a valid value, got null");
  }
}

void Fields::fail(std::string_view name, std::string_view problem) {
  members_.fail(field_error(members_.location(name), problem));
}

void Fields::fail(const Status& error) {
  members_.fail(error);
}

void Fields::refuse(std::string_view name, std::string_view why) {
  const Value* value = get(name);
  if (value == nullptr || asks_nothing(*value)) return;
  std::string where = members_.location(name);
  fail(invalid_argument(fmt::format("{}: {}", where, why), where));
}

Status Fields::finish() const {
  if (ok() && log_enabled(LogLevel::kDebug)) {
    std::size_t shown = 0;
    for (const Member& member : *members_.members()) {
      if (seen_.count(member.key) != 0 || ++shown > 10) continue;
      log_debug("The request has a field that is not known and is ignored: {}",
                members_.location(std::string_view(member.key).substr(0, kLoggedBytes)));
    }
  }
  return members_.status();
}

}  // namespace pagoda
