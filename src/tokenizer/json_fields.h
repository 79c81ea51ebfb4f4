// Typed reading of members of a parsed tokenizer.json. Every error is kInvalidArgument and names the member
// by its path
// ("model.merges") and what was found there instead.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

inline Status wrong_type(const std::string& path, const char* expected, const Value* found) {
  return invalid_argument("tokenizer.json: " + path + " must be " + expected + ", found " +
                          (found == nullptr ? "nothing" : found->type_name()));
}

// The member, or nullptr where it is missing or null.
inline const Value* optional_member(const Value& object, std::string_view key) {
  const Value* member = object.find(key);
  return member == nullptr || member->is_null() ? nullptr : member;
}

inline std::string field_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

inline Result<std::string> string_field(const Value& object, const std::string& path, std::string_view key) {
  const Value* member = optional_member(object, key);
  if (member == nullptr || !member->is_string()) return wrong_type(field_path(path, key), "a string", member);
  return member->as_string();
}

inline Result<std::string> string_field_or(const Value& object, const std::string& path, std::string_view key,
                                           std::string fallback) {
  if (optional_member(object, key) == nullptr) return fallback;
  return string_field(object, path, key);
}

inline Result<bool> bool_field_or(const Value& object, const std::string& path, std::string_view key,
                                  bool fallback) {
  const Value* member = optional_member(object, key);
  if (member == nullptr) return fallback;
  if (!member->is_bool()) return wrong_type(field_path(path, key), "true or false", member);
  return member->as_bool();
}

inline Result<int64_t> int_field(const Value& object, const std::string& path, std::string_view key,
                                 int64_t low, int64_t high) {
  const Value* member = optional_member(object, key);
  if (member == nullptr || !member->is_int()) return wrong_type(field_path(path, key), "an integer", member);
  int64_t number = member->as_int();
  if (number < low || number > high)
    return invalid_argument("tokenizer.json: " + field_path(path, key) + " is " + std::to_string(number) +
                            ", outside of " + std::to_string(low) + ".." + std::to_string(high));
  return number;
}

inline Result<const Array*> array_field(const Value& object, const std::string& path, std::string_view key) {
  const Value* member = optional_member(object, key);
  if (member == nullptr || !member->is_array()) return wrong_type(field_path(path, key), "an array", member);
  return &member->as_array();
}

// Refuses steps that together could make a long text of a short one. `growth`: the bytes that one byte may
// become.
inline Status check_growth(const std::string& path, double growth) {
  constexpr double kGrowthMax = 256;  // a compatibility form and a mark for each space are 33
  if (growth <= kGrowthMax) return {};
  return invalid_argument("tokenizer.json: with " + path + " one byte of text could become more than " +
                          std::to_string(static_cast<int>(kGrowthMax)) +
                          " bytes: shorten what its steps put in");
}

}  // namespace pagoda
