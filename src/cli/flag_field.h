// The field that a flag sets: FlagSpec rows name it, and parsing, bounds and the default that the help shows
// follow from its type and its initializer. A default thus stands in one place, the struct of arguments.
#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "cli/flags.h"

namespace pagoda {

// Both ends included.
constexpr FlagBounds between(int64_t low, int64_t high) {
  return {.kind = FlagBounds::Kind::kBetween, .low = low, .high = high};
}
// Low excluded, high included.
constexpr FlagBounds above(double low, double high) {
  return {.kind = FlagBounds::Kind::kAbove, .above = low, .at_most = high};
}
// 0, which turns off what the flag sets, or at most high.
constexpr FlagBounds zero_or_at_most(double high) {
  return {.kind = FlagBounds::Kind::kZeroOrAbove, .at_most = high};
}

namespace flag_field {

// Names of an enumeration's values: enum_names(T) beside the type.
template <class T>
concept Named = std::is_enum_v<T> && requires {
  enum_names(T{});
};

// Its address stands for the type.
template <class Args>
inline constexpr char kArgsTag = 0;

template <class T>
constexpr FlagKind kind_of() {
  if constexpr (std::same_as<T, bool>) return FlagKind::kBool;
  if constexpr (std::integral<T> || std::same_as<T, std::optional<int64_t>>) return FlagKind::kInt;
  if constexpr (std::floating_point<T>) return FlagKind::kFloat;
  if constexpr (std::same_as<T, std::string> || Named<T>) return FlagKind::kString;
  if constexpr (std::same_as<T, std::vector<std::string>>) return FlagKind::kList;
  if constexpr (std::same_as<T, Value>) return FlagKind::kJson;
}

Status check_bounds(const std::string& name, const FlagBounds& bounds, const Value& value);
// Null is one, too.
Status check_object(const std::string& name, const Value& value);
Status assign_texts(const FlagSpec& spec, const Value& value, std::vector<std::string>* field);
std::string shown(bool value);
std::string shown(int64_t value);
std::string shown(double value);

template <class T>
Status assign_as(const FlagSpec& spec, const Value& value, T* field) {
  PAGODA_RETURN_IF_ERROR(check_bounds(spec.name, spec.field.bounds, value));
  if constexpr (std::same_as<T, bool>) {
    *field = value.as_bool() != spec.field.is_inverted;
  } else if constexpr (std::integral<T>) {
    *field = static_cast<T>(value.as_int() * spec.field.unit);
  } else if constexpr (std::floating_point<T>) {
    *field = value.as_double();
  } else if constexpr (std::same_as<T, std::optional<int64_t>>) {
    *field = value.as_int();
  } else if constexpr (std::same_as<T, std::string>) {
    *field = value.as_string();
  } else if constexpr (std::same_as<T, Value>) {
    PAGODA_RETURN_IF_ERROR(check_object(spec.name, value));
    *field = value;
  } else if constexpr (Named<T>) {
    for (const auto& [name, named] : enum_names(T{}))
      if (value.as_string() == name) *field = named;
  } else {
    return assign_texts(spec, value, field);
  }
  return {};
}

template <class T>
std::string initial_as(const FlagSpec& spec, const T& field) {
  if constexpr (std::same_as<T, bool>) return shown(field != spec.field.is_inverted);
  if constexpr (std::integral<T> && !std::same_as<T, bool>)
    return shown(static_cast<int64_t>(field) / spec.field.unit);
  if constexpr (std::floating_point<T>) return shown(static_cast<double>(field));
  if constexpr (std::same_as<T, std::string>) return field;
  if constexpr (Named<T>)
    for (const auto& [name, named] : enum_names(T{}))
      if (field == named) return name;
  return {};
}

template <class T>
std::string choices_as() {
  std::string list;
  for (const auto& [name, named] : enum_names(T{})) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

template <class Getter>
struct Access;  // of a lambda Args& -> field
template <class Field, class Args>
struct Access<Field& (*)(Args&)> {
  using FieldType = Field;
  using ArgsType = Args;
};

}  // namespace flag_field

// getter: a lambda without captures, [](Args& args) -> auto& { return args.x; }.
template <class Getter>
constexpr FlagField field(Getter getter, FlagBounds bounds = {}) {
  using A = flag_field::Access<decltype(+getter)>;
  using T = typename A::FieldType;
  using Args = typename A::ArgsType;
  FlagField made;
  made.args = &flag_field::kArgsTag<Args>;
  made.kind = flag_field::kind_of<T>();
  made.bounds = bounds;
  made.assign = [](const FlagSpec& spec, const Value& value, void* args) -> Status {
    return flag_field::assign_as<T>(spec, value, &Getter{}(*static_cast<Args*>(args)));
  };
  made.initial = [](const FlagSpec& spec) {
    Args args;
    return flag_field::initial_as<T>(spec, Getter{}(args));
  };
  if constexpr (flag_field::Named<T>) made.choices = flag_field::choices_as<T>;
  return made;
}
// A switch that is off where the field is true: --disable-x.
constexpr FlagField inverted(FlagField made) {
  made.is_inverted = true;
  return made;
}
// The flag counts in units of so many of the field's: MiB, bytes.
constexpr FlagField in_units_of(int64_t unit, FlagField made) {
  made.unit = unit;
  return made;
}

// What a row with a field says beside its name, group, field and help.
struct FlagExtras {
  const char* default_text = nullptr;  // null: the field's initializer
  const char* choices = "";
  const char* short_name = "";
  const char* alias = "";
  std::optional<FlagKind> kind = {};  // where the field's type does not tell
};

constexpr FlagSpec flag(const char* name, const char* group, FlagField made, const char* help,
                        FlagExtras extras = {}) {
  return {name,
          extras.short_name,
          group,
          extras.kind.value_or(made.kind),
          extras.default_text,
          help,
          FlagState::kWorks,
          extras.choices,
          extras.alias,
          made};
}

// Sets the fields of *args that the given flags name; rows that name other structs' fields are left alone.
// Errors kInvalidArgument naming the flag.
template <class Args>
Status assign_fields(std::span<const FlagSpec> table, const FlagValues& values, Args* args) {
  for (const FlagSpec& spec : table)
    if (spec.field.args == &flag_field::kArgsTag<Args> && values.given(spec.name))
      PAGODA_RETURN_IF_ERROR(spec.field.assign(spec, values.json(spec.name), args));
  return {};
}

}  // namespace pagoda
