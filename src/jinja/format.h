// The two kinds of string formatting: "%s" % value and "{}".format(value).
#pragma once
#include "jinja/value.h"

namespace pagoda::jinja {

// Requires: format is a string.
PyValue percent_format(Budget* budget, const PyValue& format, const PyValue& values);
PyValue brace_format(Budget* budget, const PyValue& format, const Arguments& arguments);
// format(value, spec)
std::string format_value(Budget* budget, const PyValue& value, std::string_view spec);
// A float with a fixed number of digits after the point.
std::string format_fixed(double number, int digits);
// time.strftime in UTC with C locale names.
std::string format_time(Budget* budget, std::string_view format, int64_t unix_seconds);

}  // namespace pagoda::jinja
