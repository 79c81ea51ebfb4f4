#include "cli/flag_checks.h"

#include "cli/flag_field.h"

namespace pagoda {

Result<int64_t> number_in(const FlagValues& flags, const char* name, int64_t otherwise, int64_t low,
                          int64_t high) {
  const int64_t value = flags.number(name, otherwise);
  PAGODA_RETURN_IF_ERROR(flag_field::check_bounds(name, between(low, high), Value(value)));
  return value;
}

Result<double> real_above(const FlagValues& flags, const char* name, double otherwise, double low,
                          double high) {
  const double value = flags.real(name, otherwise);
  PAGODA_RETURN_IF_ERROR(flag_field::check_bounds(name, above(low, high), Value(value)));
  return value;
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
  PAGODA_RETURN_IF_ERROR(flag_field::check_object(name, value));
  return value;
}

}  // namespace pagoda
