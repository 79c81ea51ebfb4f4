#include "cli/flag_checks.h"

#include "base/json.h"

namespace pagoda {

Result<int64_t> number_in(const FlagValues& flags, const char* name, int64_t otherwise, int64_t low,
                          int64_t high) {
  int64_t value = flags.number(name, otherwise);
  if (value >= low && value <= high) return value;
  return invalid_argument("flag --" + std::string(name) + " must be between " + std::to_string(low) +
                              " and " + std::to_string(high) + ", not " + std::to_string(value),
                          name);
}

Result<double> real_above(const FlagValues& flags, const char* name, double otherwise, double low,
                          double high) {
  double value = flags.real(name, otherwise);
  if (value > low && value <= high) return value;
  return invalid_argument("flag --" + std::string(name) + " must be above " + python_float_repr(low) +
                              " and at most " + python_float_repr(high) + ", not " + python_float_repr(value),
                          name);
}

Result<std::string> one_of(const FlagValues& flags, const char* name, const std::string& otherwise,
                           const std::vector<std::string>& choices) {
  std::string value = flags.text(name, otherwise), list;
  for (const std::string& choice : choices) {
    if (value == choice) return value;
    list += (list.empty() ? "" : ", ") + choice;
  }
  return invalid_argument("flag --" + std::string(name) + " must be one of " + list + ", not '" + value + "'",
                          name);
}

Result<Value> object_flag(const FlagValues& flags, const char* name) {
  Value value = flags.json(name);
  if (value.is_null() || value.is_object()) return value;
  return invalid_argument("flag --" + std::string(name) + " must be a JSON object", name);
}

}  // namespace pagoda
