#include "cli/config_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/json.h"
#include "base/mmap.h"

namespace pagoda {
namespace {

// YAML scalars are JSON if they read as such, otherwise text.
Value to_value(const YAML::Node& node, int depth) {
  if (depth > 64) return Value();
  if (node.IsSequence()) {
    Array array;
    for (const YAML::Node& item : node) array.push_back(to_value(item, depth + 1));
    return array;
  }
  if (node.IsMap()) {
    Object object;
    for (const auto& item : node) object.set(item.first.as<std::string>(), to_value(item.second, depth + 1));
    return object;
  }
  if (!node.IsScalar()) return Value();
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;  // quoted
  Result<Value> parsed = parse_json(text);
  return parsed.ok() && !parsed->is_string() ? *std::move(parsed) : Value(text);
}

bool is_yes(const std::string& text) {
  return text == "true" || text == "True" || text == "yes" || text == "on";
}
bool is_no(const std::string& text) {
  return text == "false" || text == "False" || text == "no" || text == "off";
}

bool takes_json(std::span<const FlagSpec> table, std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return std::any_of(table.begin(), table.end(),
                     [&](const FlagSpec& spec) { return name == spec.name && spec.kind == FlagKind::kJson; });
}

void append_flag(std::span<const FlagSpec> table, const std::string& name, const YAML::Node& node,
                 std::vector<std::string>* out) {
  if (node.IsNull()) {
    return;
  } else if (node.IsMap() || (node.IsSequence() && takes_json(table, name))) {
    out->push_back("--" + name + "=" + write_json(to_value(node, 0)));
  } else if (node.IsSequence()) {
    for (const YAML::Node& item : node)
      out->push_back("--" + name + "=" + (item.IsScalar() ? item.Scalar() : write_json(to_value(item, 0))));
  } else if (node.Tag() != "!" && is_yes(node.Scalar())) {
    out->push_back("--" + name);
  } else if (node.Tag() != "!" && is_no(node.Scalar())) {
    out->push_back("--no-" + name);
  } else {
    out->push_back("--" + name + "=" + node.Scalar());
  }
}

}  // namespace

Result<std::vector<std::string>> read_config_file(std::span<const FlagSpec> table, const std::string& path) {
  PAGODA_TRY(std::string text, read_file(path, 1 << 20));
  std::vector<std::string> arguments;
  try {
    YAML::Node root = YAML::Load(text);
    if (!root.IsMap() && !root.IsNull())
      return invalid_argument("'" + path + "' must be a YAML mapping of flags to values", "config");
    for (const auto& item : root) append_flag(table, item.first.as<std::string>(), item.second, &arguments);
  } catch (const YAML::Exception& error) {
    return invalid_argument("'" + path + "', line " + std::to_string(error.mark.line + 1) + ": " + error.msg,
                            "config");
  }
  return arguments;
}

Result<ParsedCommand> parse_with_config(std::span<const FlagSpec> table,
                                        const std::vector<std::string>& arguments) {
  PAGODA_TRY(ParsedCommand given, parse_flags(table, arguments));
  if (!given.flags.given("config")) return given;
  std::string path = given.flags.text("config");
  PAGODA_TRY(std::vector<std::string> more, read_config_file(table, path));
  Result<ParsedCommand> file = parse_flags(table, more);
  if (!file.ok()) return std::move(file.status()).with_context("'" + path + "'");
  ParsedCommand merged = *std::move(file);
  for (const auto& [name, value] : given.flags.all()) merged.flags.set(name, value);
  merged.positional = given.positional;
  return merged;
}

}  // namespace pagoda
