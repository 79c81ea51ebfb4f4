// Flags in vLLM's spelling, declared once in a table: parsing, help, configuration file and suggestions all
// read it.
// --a-b and --a_b are the same; -tp style short forms; booleans as --x and --no-x; 8k, 1.5m, 2G as sizes;
// JSON flags as one text or as --flag.key value; --config FILE.yaml gives values that the command line
// overrides.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

// kIntOrAuto: "auto" is -1.
enum class FlagKind { kBool, kInt, kIntOrAuto, kFloat, kString, kList, kIntList, kJson };
// kLater: understood by vLLM, not built here yet. kForeign: there is nothing here that it would set (CUDA,
// Python).
enum class FlagState { kWorks, kLater, kForeign };

struct FlagSpec;

struct FlagBounds {
  enum class Kind : uint8_t { kNone, kBetween, kAbove, kZeroOrAbove } kind = Kind::kNone;
  int64_t low = 0, high = 0;
  double above = 0, at_most = 0;
};

// Where the value of a flag goes: a field of some struct of arguments. Made by field() (flag_field.h).
struct FlagField {
  const void* args = nullptr;  // stands for the struct's type; null: the flag has no field of its own
  FlagKind kind = FlagKind::kBool;
  FlagBounds bounds = {};
  int64_t unit = 1;          // of an integral field, by 1 of the flag
  bool is_inverted = false;  // of a switch
  Status (*assign)(const FlagSpec&, const Value&, void* args) = nullptr;
  std::string (*initial)(const FlagSpec&) = nullptr;  // what the field holds by default, as text
  std::string (*choices)() = nullptr;                 // of an enumeration: "a, b"
};

struct FlagSpec {
  const char* name;        // without dashes
  const char* short_name;  // "tp" for -tp; "" for none
  const char* group;
  FlagKind kind;
  const char* default_text;  // shown in the help; "" for none; null: the field's
  const char* help;
  FlagState state = FlagState::kWorks;
  const char* choices = "";  // "a, b": the only values there are; "" for any
  const char* alias = "";    // another long name
  FlagField field = {};
};

// Values that were given; absent ones are not in the map. kBool: bool; kInt: int; kFloat: double; kString:
// string; kList: array of strings; kIntList: array of ints; kJson: the parsed value.
class FlagValues {
 public:
  bool given(const std::string& name) const { return values_.count(name) != 0; }
  bool flag(const std::string& name, bool otherwise) const;
  int64_t number(const std::string& name, int64_t otherwise) const;
  double real(const std::string& name, double otherwise) const;
  std::string text(const std::string& name, const std::string& otherwise = {}) const;
  std::vector<std::string> list(const std::string& name) const;
  Value json(const std::string& name) const;  // null when absent
  void set(const std::string& name, Value value) { values_[name] = std::move(value); }
  const std::map<std::string, Value>& all() const { return values_; }

 private:
  std::map<std::string, Value> values_;
};

struct ParsedCommand {
  FlagValues flags;
  std::vector<std::string> positional;
};

// Errors kInvalidArgument for a person: an unknown flag (with the nearest known one), a missing or malformed
// value, one that is no choice. "None" is vLLM's word for a value that is not given. Requires: `table` has no
// "help"; --help is seen by wants_help before.
Result<ParsedCommand> parse_flags(std::span<const FlagSpec> table, const std::vector<std::string>& arguments);

// True if the arguments ask for help; `topic` is what follows `--help=`.
bool wants_help(const std::vector<std::string>& arguments, std::string* topic);
// The table grouped, as text; with a topic only that group or flag.
std::string help_text(std::span<const FlagSpec> table, const std::string& usage, const std::string& topic);

// "8k" 8000, "8K" 8192, "1.5m", "2G", "4096". Error: not a number of that form, or beyond int64.
Result<int64_t> parse_human_int(const std::string& text);

// A warning where a list took what looks like the model that the command lacks: `--api-key secret PATH`.
void report_swallowed_model(std::span<const FlagSpec> table, const ParsedCommand& command);

// One log line per given flag that is not kWorks.
void report_unused_flags(std::span<const FlagSpec> table, const FlagValues& values);

}  // namespace pagoda
