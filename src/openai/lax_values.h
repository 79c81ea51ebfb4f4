// Single values as vLLM's schema (pydantic, lax mode) takes them: "3", 3.0 and true are the integer 3, 3 and
// 1, "0.5" is a number, "no" and 0 are booleans. Strings, lists and objects are only what they are.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/value.h"
#include "contract/types.h"

namespace pagoda {

inline constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();
inline constexpr int64_t kInt32Min = std::numeric_limits<int32_t>::min();
inline constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();

// Where `child` lies: "messages" + "0" -> "messages.0".
std::string join_location(std::string_view parent, std::string_view child);
std::string join_location(std::string_view parent, std::size_t index);

// The body does not fit the schema of the API: `where: problem`, with "body.where" as its param, as vLLM
// names the place. (What fits the schema and is refused all the same is a plain invalid_argument, whose param
// is the field, or empty where vLLM names none.)
Status field_error(std::string_view where, std::string_view problem);
// "got string \"abc\"", clipped: what an error quotes of the input.
std::string describe_value(const Value& value);
// `field: Input should be ..., got ...`.
Status type_error(std::string_view where, const char* wanted, const Value& value);

// Beyond int64 an integer saturates, unless bounds are given.
Result<int64_t> parse_integer(const Value& value, std::string_view where);
Result<int64_t> parse_integer(const Value& value, int64_t low, int64_t high, std::string_view where);
// A token's id of the list `field`; one that no vocabulary can have is named as it was sent. Below 0 it does
// not fit the schema of lists that are `kFromZero`.
enum class TokenIds { kFromZero, kAny };
Result<TokenId> parse_token_id(const Value& value, std::string_view where, std::string_view field,
                               TokenIds kind);
// NaN and infinities come in as strings.
Result<double> parse_number(const Value& value, std::string_view where);
Result<bool> parse_bool(const Value& value, std::string_view where);
Result<std::string> parse_string(const Value& value, std::string_view where);

// Python's truth of a value: not null, false, 0, "", [] or {}. An absent value (nullptr) is false.
bool is_truthy(const Value* value);
// The number of an integer, a double or a boolean; nullopt for everything else.
std::optional<double> plain_number(const Value* value);

}  // namespace pagoda
