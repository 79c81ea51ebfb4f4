// JSON text <-> Value. The only includer of Boost.JSON. RFC 8259, strict: invalid UTF-8, lone surrogates,
// comments, trailing text and numbers beyond a double (1e400) are errors. Integers beyond int64 become
// doubles, so a field that must be an integer is checked by Value::is_int().
#pragma once
#include <string>
#include <string_view>

#include "base/memory_budget.h"
#include "base/status.h"
#include "base/value.h"

namespace pagoda {

// What the JSON of one request has taken so far, in as many texts as it comes.
struct JsonMeter {
  std::size_t values = 0, bytes = 0;
  MemoryShare* memory = nullptr;  // charged for the bytes as they grow; null: not accounted
};

// Prompts of so many token ids, and their fields.
inline constexpr std::size_t kJsonValuesMax = std::size_t{1} << 21;

struct JsonLimits {
  int depth_max = 128;
  std::size_t values_max = kJsonValuesMax;  // each takes memory, however short its text
  bool reject_duplicate_keys = false;       // otherwise the last one wins, as in every common parser
  JsonMeter* meter = nullptr;               // counts on, and values_max bounds what it has counted
};

// Errors: kInvalidArgument, with the byte offset, which also goes to `error_at`; as of the meter's memory.
Result<Value> parse_json(std::string_view text, const JsonLimits& limits = {},
                         std::size_t* error_at = nullptr);

struct JsonStyle {
  // Compact `{"a":1}` for the wire; Python's json.dumps spacing `{"a": 1}` for templates.
  bool python_spacing = false;
  int indent = -1;  // as json.dumps(indent=); -1: one line
  bool ensure_ascii = false;
  bool sort_keys = false;
};

// Doubles print in the shortest form that reads back equal, by Python's repr rules (1.0, 0.1, 1e-05, 1e+16);
// NaN and infinities print as null unless python_spacing, where they print as json.dumps does (NaN,
// Infinity). Invalid UTF-8 in strings is replaced by U+FFFD, so that what leaves is always valid JSON.
std::string write_json(const Value& value, const JsonStyle& style = {});
void append_json(std::string* out, const Value& value, const JsonStyle& style = {});

// `text` as a JSON string with its quotes.
void append_json_string(std::string* out, std::string_view text, bool ensure_ascii = false);

// Shortest round-trip decimal by Python's repr rules; "nan", "inf", "-inf" for the others.
std::string python_float_repr(double number);

}  // namespace pagoda
