#include "cli/flag_field.h"

#include "base/json.h"

namespace pagoda::flag_field {
namespace {

Status out_of_bounds(const std::string& name, const std::string& meant, const std::string& found) {
  return invalid_argument("flag --" + name + " must be " + meant + ", not " + found, name);
}

}  // namespace

Status check_bounds(const std::string& name, const FlagBounds& bounds, const Value& value) {
  switch (bounds.kind) {
    case FlagBounds::Kind::kNone:
      return {};
    case FlagBounds::Kind::kBetween:
      if (value.as_int() >= bounds.low && value.as_int() <= bounds.high) return {};
      return out_of_bounds(name,
                           "between " + std::to_string(bounds.low) + " and " + std::to_string(bounds.high),
                           std::to_string(value.as_int()));
    case FlagBounds::Kind::kZeroOrAbove:
      if (value.as_double() == 0) return {};
      [[fallthrough]];
    case FlagBounds::Kind::kAbove:
      if (value.as_double() > bounds.above && value.as_double() <= bounds.at_most) return {};
      return out_of_bounds(
          name,
          "above " + python_float_repr(bounds.above) + " and at most " + python_float_repr(bounds.at_most),
          python_float_repr(value.as_double()));
  }
  return internal_error("bounds of a flag");
}

Status assign_texts(const FlagSpec& spec, const Value& value, std::vector<std::string>* field) {
  std::vector<std::string> texts;
  if (value.is_array())
    for (const Value& item : value.as_array())
      if (item.is_string()) texts.push_back(item.as_string());
  if (!value.is_array() || texts.size() != value.as_array().size())
    return invalid_argument("flag --" + std::string(spec.name) + " must be a JSON list of strings",
                            spec.name);
  *field = std::move(texts);
  return {};
}

Status check_object(const std::string& name, const Value& value) {
  if (value.is_null() || value.is_object()) return {};
  return invalid_argument("flag --" + name + " must be a JSON object", name);
}

std::string shown(bool value) {
  return value ? "on" : "off";
}
std::string shown(int64_t value) {
  return std::to_string(value);
}
std::string shown(double value) {
  std::string text = python_float_repr(value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

}  // namespace pagoda::flag_field
