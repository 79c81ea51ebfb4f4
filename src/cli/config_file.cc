#include "cli/config_file.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <initializer_list>
#include <set>
#include <sstream>

#include "base/json.h"
#include "base/mmap.h"

namespace pagoda {
namespace {

constexpr int kDepthMax = 64;
// Of one file, with what aliases repeat: a few of them on one another stand for more than memory holds, and
// one may stand within what it names.
constexpr int kValuesMax = 100'000;
constexpr std::size_t kBytesMax = 4 << 20;

// What has been read of a file.
class Budget {
 public:
  void add(const YAML::Node& node) {
    if (node.IsScalar()) bytes_ += node.Scalar().size();
    if (++values_ > kValuesMax || bytes_ > kBytesMax)
      throw YAML::Exception(
          node.Mark(), fmt::format("more than {} values, or {} MiB of them, counting what aliases (*) repeat",
                                   kValuesMax, kBytesMax >> 20));
  }

 private:
  int values_ = 0;
  std::size_t bytes_ = 0;
};

// YAML scalars are JSON if they read as such, otherwise text.
Value to_value(const YAML::Node& node, int depth, Budget* budget) {
  budget->add(node);
  if (depth > kDepthMax)
    throw YAML::Exception(node.Mark(), fmt::format("values nest more than {} deep here", kDepthMax));
  if (node.IsSequence()) {
    Array array;
    for (const YAML::Node& item : node) array.push_back(to_value(item, depth + 1, budget));
    return array;
  }
  if (node.IsMap()) {
    Object object;
    for (const auto& item : node) {
      budget->add(item.first);
      object.set(item.first.as<std::string>(), to_value(item.second, depth + 1, budget));
    }
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

// Dashes and underscores are one, but for the keys of a JSON flag behind its dot.
std::string dashed(std::string name) {
  std::replace(name.begin(),
               name.begin() + static_cast<std::ptrdiff_t>(std::min(name.find('.'), name.size())), '_', '-');
  return name;
}

const FlagSpec* find_spec(std::span<const FlagSpec> table, const std::string& given) {
  const std::string name = dashed(given);
  auto is_it = [&](const FlagSpec& spec) {
    return name == spec.name || (!name.empty() && name == spec.alias);
  };
  const auto found = std::find_if(table.begin(), table.end(), is_it);
  return found == table.end() ? nullptr : &*found;
}

// A flag under all of its names, a switch that is turned off as well.
std::string canonical_name(std::span<const FlagSpec> table, const std::string& given) {
  if (const FlagSpec* spec = find_spec(table, given)) return spec->name;
  const std::string name = dashed(given);
  if (!name.starts_with("no-")) return name;
  const FlagSpec* spec = find_spec(table, name.substr(3));
  return spec != nullptr && spec->kind == FlagKind::kBool ? spec->name : name;
}

bool takes(const FlagSpec* spec, std::initializer_list<FlagKind> kinds) {
  return spec == nullptr || std::find(kinds.begin(), kinds.end(), spec->kind) != kinds.end();
}

Status error_at(const YAML::Mark& mark, const std::string& path, const std::string& what) {
  return invalid_argument("'" + path + "', line " + std::to_string(mark.line + 1) + ": " + what, "config");
}

// What is wrong with the value, or nothing. Values of flags that are not in the table are not judged here.
std::string fault_of(const FlagSpec* spec, const std::string& name, const YAML::Node& value) {
  using enum FlagKind;
  if (value.IsMap() && !takes(spec, {kJson})) return name + " takes no mapping";
  if (value.IsSequence() && !takes(spec, {kList, kIntList, kJson}))
    return name + " takes one value, not a list";
  if (!value.IsScalar() || value.Tag() == "!" || takes(spec, {kBool})) return {};
  const std::string& text = value.Scalar();
  if (!is_yes(text) && !is_no(text)) return {};
  return text + " is a switch's value in YAML, which " + name + " is not: as a text it needs quotes (\"" +
         text + "\")";
}

void append_flag(const FlagSpec* spec, const std::string& name, const YAML::Node& node, Budget* budget,
                 std::vector<std::string>* out) {
  budget->add(node);
  if (node.IsNull()) {
    return;
  } else if (node.IsMap() || (node.IsSequence() && spec != nullptr && spec->kind == FlagKind::kJson)) {
    out->push_back("--" + name + "=" + write_json(to_value(node, 0, budget)));
  } else if (node.IsSequence()) {
    for (const YAML::Node& item : node) {
      budget->add(item);
      out->push_back("--" + name + "=" +
                     (item.IsScalar() ? item.Scalar() : write_json(to_value(item, 0, budget))));
    }
  } else if (node.Tag() != "!" && is_yes(node.Scalar())) {
    out->push_back("--" + name);
  } else if (node.Tag() != "!" && is_no(node.Scalar())) {
    out->push_back("--no-" + name);
  } else {
    out->push_back("--" + name + "=" + node.Scalar());
  }
}

Status append_flags(std::span<const FlagSpec> table, const std::string& path, const YAML::Node& root,
                    std::vector<std::string>* out) {
  std::set<std::string> seen;
  Budget budget;
  for (const auto& item : root) {
    const std::string name = item.first.as<std::string>();
    const FlagSpec* spec = find_spec(table, name);
    const std::string canonical = canonical_name(table, name);
    if (canonical == "config")
      return error_at(item.first.Mark(), path, "a configuration file can not name another one (config)");
    if (!seen.insert(canonical).second)
      return error_at(item.first.Mark(), path, canonical + " is given twice");
    if (std::string fault = fault_of(spec, canonical, item.second); !fault.empty())
      return error_at(item.second.Mark(), path, fault);
    append_flag(spec, name, item.second, &budget, out);
  }
  return {};
}

// Where a document begins.
struct DocumentStart : YAML::EventHandler {
  void OnDocumentStart(const YAML::Mark& at) override { mark = at; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}

  YAML::Mark mark;
};

// The text is one document, or none. YAML::LoadAll is no way to see it: where nothing can be read (`,`) it
// finds one empty document after the other at the same place.
Status check_one_document(const std::string& path, const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStart first, second, third;
  if (!parser.HandleNextDocument(first) || !parser.HandleNextDocument(second)) return {};
  if (parser.HandleNextDocument(third) && third.mark.pos == second.mark.pos)
    return error_at(second.mark, path, "this is not YAML");
  return error_at(second.mark, path, "a second document begins: a configuration file has one");
}

}  // namespace

Result<std::vector<std::string>> read_config_file(std::span<const FlagSpec> table, const std::string& path) {
  PAGODA_TRY(std::string text, read_file(path, 1 << 20));
  std::vector<std::string> arguments;
  try {
    PAGODA_RETURN_IF_ERROR(check_one_document(path, text));
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap() && !root.IsNull())
      return invalid_argument("'" + path + "' must be a YAML mapping of flags to values", "config");
    PAGODA_RETURN_IF_ERROR(append_flags(table, path, root, &arguments));
  } catch (const YAML::Exception& error) {
    return error_at(error.mark, path, error.msg);
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
