// Reads flags that have no field of their own (flag_field.h), with the same checks: each error names the flag
// and what it takes.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/flags.h"

namespace pagoda {

Result<int64_t> number_in(const FlagValues& flags, const char* name, int64_t otherwise, int64_t low,
                          int64_t high);
// Low excluded, high included.
Result<double> real_above(const FlagValues& flags, const char* name, double otherwise, double low,
                          double high);
Result<std::string> one_of(const FlagValues& flags, const char* name, const std::string& otherwise,
                           const std::vector<std::string>& choices);
// Null if it was not given.
Result<Value> object_flag(const FlagValues& flags, const char* name);

}  // namespace pagoda
