// Operators and subscripts of the template language, with Python's rules and exceptions.
#pragma once
#include "jinja/value.h"

namespace pagoda::jinja {

enum class BinaryOp : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };

PyValue binary(Budget* budget, BinaryOp op, const PyValue& a, const PyValue& b);
PyValue negate(const PyValue& value);
PyValue plus(const PyValue& value);
// `needle in haystack`
bool contains(Budget* budget, const PyValue& haystack, const PyValue& needle);

// object[key] and object.name as the sandbox reads them: what is not there is undefined, what would modify a
// list or dict, and names with a leading underscore, are undefined in a way that using them is a
// SecurityError.
PyValue get_item(Budget* budget, const PyValue& object, const PyValue& key);
PyValue get_attribute(Budget* budget, const PyValue& object, std::string_view name);
// object[key] of Python itself; false if there is no such element.
bool subscript(Budget* budget, const PyValue& object, const PyValue& key, PyValue* value);
// object[start:stop:step]; each may be None.
PyValue slice(Budget* budget, const PyValue& object, const PyValue& start, const PyValue& stop,
              const PyValue& step);

// int and float of Python: digits with underscores and surrounding white space. False: a ValueError.
bool parse_int(std::string_view text, int base, int64_t* number);
bool parse_float(std::string_view text, double* number);
// int(value) of a float. Fault OverflowError or ValueError.
int64_t float_to_int(double number);

}  // namespace pagoda::jinja
