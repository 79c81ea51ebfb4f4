#include "cli/flags.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>

#include "base/json.h"
#include "base/log.h"

namespace pagoda {
namespace {

bool is_list(const FlagSpec& spec) {
  return spec.kind == FlagKind::kList || spec.kind == FlagKind::kIntList;
}

const FlagSpec* find_flag(std::span<const FlagSpec> table, std::string_view name) {
  for (const FlagSpec& spec : table)
    if (name == spec.name || (!name.empty() && name == spec.alias)) return &spec;
  return nullptr;
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (std::size_t end; (end = text.find(separator)) != std::string_view::npos;
       text.remove_prefix(end + separator.size()))
    parts.emplace_back(text.substr(0, end));
  parts.emplace_back(text);
  return parts;
}

// Edit distance with unit costs (Levenshtein 1965), one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

Status unknown_flag(std::span<const FlagSpec> table, const std::string& name) {
  const FlagSpec* nearest = nullptr;
  std::size_t best = std::max<std::size_t>(3, name.size() / 3);
  for (const FlagSpec& spec : table) {
    std::size_t distance = edit_distance(name, spec.name);
    if (distance < best) best = distance, nearest = &spec;
  }
  std::string message = "unknown flag --" + name;
  if (nearest != nullptr) message += "; did you mean --" + std::string(nearest->name) + "?";
  return invalid_argument(message + " (--help lists all)", name);
}

// A dotted flag `--hf-overrides.rope_scaling.factor 8`: where the value goes in the JSON of the flag.
struct DottedValue {
  const FlagSpec* spec;
  std::string path, value;
  bool append;  // `--flag.list+ v`
};

// JSON, a size such as 80g, or text.
Value dotted_value(const std::string& text) {
  if (Result<Value> json = parse_json(text); json.ok()) return *std::move(json);
  if (Result<int64_t> size = parse_human_int(text); size.ok()) return *size;
  return text;
}

void put_dotted(Value* root, const DottedValue& dotted) {
  if (!root->is_object()) *root = Object();
  Value* at = root;
  std::string path = dotted.path;
  for (std::size_t dot; (dot = path.find('.')) != std::string::npos; path.erase(0, dot + 1)) {
    Value& next = at->as_object().find(path.substr(0, dot)) != nullptr
                      ? *at->as_object().find(path.substr(0, dot))
                      : at->as_object().set(path.substr(0, dot), Object());
    if (!next.is_object()) next = Object();
    at = &next;
  }
  if (!dotted.append) {
    at->as_object().set(path, dotted_value(dotted.value));
    return;
  }
  Value* list = at->as_object().find(path);
  if (list == nullptr || !list->is_array()) list = &at->as_object().set(path, Array());
  for (const std::string& item : split(dotted.value, ",")) list->as_array().push_back(dotted_value(item));
}

// What the command line means once spellings are equal; booleans have the value "true" or "false".
struct Normalized {
  std::map<std::string, std::vector<std::string>> texts;  // of each given flag, in order
  std::vector<DottedValue> dotted;
  std::vector<std::string> positional;
};

class Normalizer {
 public:
  Normalizer(std::span<const FlagSpec> table, const std::vector<std::string>& arguments)
      : table_(table), arguments_(arguments) {}

  Result<Normalized> run() {
    for (; at_ < arguments_.size(); ++at_) {
      const std::string& argument = arguments_[at_];
      if (argument == "--") {  // positional from here on
        out_.positional.insert(out_.positional.end(),
                               arguments_.begin() + static_cast<std::ptrdiff_t>(at_) + 1, arguments_.end());
        break;
      }
      if (!looks_like_flag(argument))
        out_.positional.push_back(argument);
      else
        PAGODA_RETURN_IF_ERROR(flag(argument));
    }
    return std::move(out_);
  }

 private:
  static bool looks_like_flag(const std::string& text) {
    return text.size() > 1 && text[0] == '-' && !(text[1] >= '0' && text[1] <= '9') && text[1] != '.';
  }

  // The long name that a spelling stands for, if any, dotted keys left out; `-O3` and `-tp 2` included.
  std::string long_name(const std::string& spelled, std::optional<std::string>* value) const {
    const std::string undotted = spelled.substr(0, spelled.find('.'));
    if (spelled.starts_with("--")) {
      std::string name = undotted.substr(2);
      std::replace(name.begin(), name.end(), '_', '-');
      return name;
    }
    std::string shorter = undotted.substr(1);
    for (const FlagSpec& spec : table_)
      if (*spec.short_name != 0 && shorter == spec.short_name) return spec.name;
    for (const FlagSpec& spec : table_) {
      if (std::string_view(spec.short_name).size() != 1 || shorter[0] != spec.short_name[0]) continue;
      *value = shorter.substr(1);
      return spec.name;
    }
    return shorter;
  }

  Status flag(const std::string& argument) {
    std::size_t equals = argument.find('=');
    std::string spelled = argument.substr(0, equals);
    std::optional<std::string> value;
    if (equals != std::string::npos) value = argument.substr(equals + 1);
    std::string name = long_name(spelled, &value);
    const FlagSpec* spec = find_flag(table_, name);
    if (spec == nullptr && name.starts_with("no-")) {
      spec = find_flag(table_, name.substr(3));
      if (spec != nullptr && spec->kind == FlagKind::kBool && !value) {
        out_.texts[spec->name].push_back("false");
        return {};
      }
      spec = nullptr;
    }
    if (spec == nullptr) return unknown_flag(table_, name);
    name = spec->name;
    if (spec->kind == FlagKind::kBool) {
      out_.texts[name].push_back(value.value_or("true"));
      return {};
    }
    if (is_list(*spec) && !value) return list(*spec);
    if (!value) {
      if (at_ + 1 >= arguments_.size() || arguments_[at_ + 1].starts_with("--"))
        return invalid_argument("flag --" + name + " needs a value", name);
      value = arguments_[++at_];
    }
    std::size_t dot = spelled.find('.');
    if (dot == std::string::npos) {
      out_.texts[name].push_back(*value);
      return {};
    }
    if (spec->kind != FlagKind::kJson)
      return invalid_argument("flag --" + name + " takes no dotted keys", name);
    std::string path = spelled.substr(dot + 1);
    bool append = path.ends_with('+');
    if (append) path.pop_back();
    out_.dotted.push_back({spec, path, *value, append});
    return {};
  }

  Status list(const FlagSpec& spec) {
    std::size_t before = at_;
    while (at_ + 1 < arguments_.size() && !looks_like_flag(arguments_[at_ + 1]))
      out_.texts[spec.name].push_back(arguments_[++at_]);
    if (at_ == before)
      return invalid_argument("flag --" + std::string(spec.name) + " needs a value", spec.name);
    return {};
  }

  std::span<const FlagSpec> table_;
  const std::vector<std::string>& arguments_;
  std::size_t at_ = 0;
  Normalized out_;
};

std::string choices_of(const FlagSpec& spec) {
  return spec.field.choices != nullptr ? spec.field.choices() : spec.choices;
}

Status check_choice(const FlagSpec& spec, const std::string& text) {
  const std::string all = choices_of(spec);
  if (all.empty()) return {};
  const std::vector<std::string> choices = split(all, ", ");
  if (std::ranges::find(choices, text) != choices.end()) return {};
  return invalid_argument(
      "flag --" + std::string(spec.name) + " must be one of " + all + ", not '" + text + "'", spec.name);
}

Result<Value> convert_int(const FlagSpec& spec, const std::string& text) {
  Result<int64_t> number = parse_human_int(text);
  if (!number.ok()) return std::move(number.status()).with_context("flag --" + std::string(spec.name));
  return Value(*number);
}

Result<Value> convert(const FlagSpec& spec, const std::vector<std::string>& texts) {
  const std::string& text = texts.back();
  std::string flag = "--" + std::string(spec.name);
  for (const std::string& item : is_list(spec) ? texts : std::vector{text})
    PAGODA_RETURN_IF_ERROR(check_choice(spec, item));
  switch (spec.kind) {
    case FlagKind::kBool:
      if (text == "true" || text == "True" || text == "1") return Value(true);
      if (text == "false" || text == "False" || text == "0") return Value(false);
      return invalid_argument("flag " + flag + " is a switch: " + flag + " or --no-" + spec.name, spec.name);
    case FlagKind::kIntOrAuto:
      if (text == "auto") return Value(int64_t{-1});
      [[fallthrough]];
    case FlagKind::kInt:
      return convert_int(spec, text);
    case FlagKind::kFloat: {
      double number = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
        return invalid_argument("flag " + flag + ": '" + text + "' is not a number", spec.name);
      return Value(number);
    }
    case FlagKind::kString:
      return Value(text);
    case FlagKind::kList: {
      Array list;
      for (const std::string& item : texts) list.emplace_back(item);
      return Value(std::move(list));
    }
    case FlagKind::kIntList: {
      Array list;
      for (const std::string& item : texts) {
        PAGODA_TRY(Value number, convert_int(spec, item));
        list.push_back(std::move(number));
      }
      return Value(std::move(list));
    }
    case FlagKind::kJson: {
      Result<Value> value = parse_json(text);
      if (!value.ok()) return std::move(value.status()).with_context("flag " + flag);
      return value;
    }
  }
  return internal_error("flag kind");
}

}  // namespace

bool FlagValues::flag(const std::string& name, bool otherwise) const {
  return given(name) ? values_.at(name).as_bool() : otherwise;
}
int64_t FlagValues::number(const std::string& name, int64_t otherwise) const {
  return given(name) ? values_.at(name).as_int() : otherwise;
}
double FlagValues::real(const std::string& name, double otherwise) const {
  return given(name) ? values_.at(name).as_double() : otherwise;
}
std::string FlagValues::text(const std::string& name, const std::string& otherwise) const {
  return given(name) ? values_.at(name).as_string() : otherwise;
}
std::vector<std::string> FlagValues::list(const std::string& name) const {
  std::vector<std::string> items;
  if (given(name))
    for (const Value& item : values_.at(name).as_array()) items.push_back(item.as_string());
  return items;
}
Value FlagValues::json(const std::string& name) const {
  return given(name) ? values_.at(name) : Value();
}

Result<ParsedCommand> parse_flags(std::span<const FlagSpec> table,
                                  const std::vector<std::string>& arguments) {
  PAGODA_TRY(Normalized normalized, Normalizer(table, arguments).run());
  ParsedCommand parsed;
  parsed.positional = std::move(normalized.positional);
  for (const auto& [name, texts] : normalized.texts) {
    const FlagSpec& spec = *find_flag(table, name);
    if (texts.back() == "None" && spec.kind != FlagKind::kBool && spec.kind != FlagKind::kList) continue;
    PAGODA_TRY(Value value, convert(spec, texts));
    parsed.flags.set(name, std::move(value));
  }
  for (const DottedValue& dotted : normalized.dotted) {
    Value value = parsed.flags.json(dotted.spec->name);
    put_dotted(&value, dotted);
    parsed.flags.set(dotted.spec->name, std::move(value));
  }
  return parsed;
}

bool wants_help(const std::vector<std::string>& arguments, std::string* topic) {
  for (const std::string& argument : arguments) {
    if (argument == "--") return false;
    if (argument == "--help" || argument == "-h") return true;
    if (!argument.starts_with("--help=")) continue;
    *topic = argument.substr(7);
    return true;
  }
  return false;
}

std::string help_text(std::span<const FlagSpec> table, const std::string& usage, const std::string& topic) {
  auto lower = [](std::string text) {
    for (char& c : text) c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  };
  std::string wanted = lower(topic), out = usage, group;
  bool all = wanted.empty() || wanted == "all", found = false;
  for (const FlagSpec& spec : table) {
    if (!all && lower(spec.group) != wanted && lower(spec.group) != wanted + "config" &&
        lower(spec.name).find(wanted) == std::string::npos &&
        lower(spec.alias).find(wanted) == std::string::npos)
      continue;
    found = true;
    if (group != spec.group) out += "\n" + (group = spec.group) + ":\n";
    std::string left = "  --" + std::string(spec.name);
    if (*spec.short_name != 0) left += ", -" + std::string(spec.short_name);
    static constexpr const char* kArguments[] = {"", " N", " N", " X", " TEXT", " TEXT...", " N...", " JSON"};
    left += kArguments[static_cast<int>(spec.kind)];
    if (*spec.alias != 0) left += ", --" + std::string(spec.alias);
    left.resize(std::max<std::size_t>(left.size() + 2, 46), ' ');
    out += left + spec.help;
    if (const std::string choices = choices_of(spec); !choices.empty()) out += " One of " + choices + ".";
    const std::string by_default =
        spec.default_text != nullptr ? spec.default_text : spec.field.initial(spec);
    if (!by_default.empty()) out += " [" + by_default + "]";
    if (spec.state == FlagState::kLater) out += " (accepted; not built yet)";
    if (spec.state == FlagState::kForeign) out += " (accepted; does not apply)";
    out += "\n";
  }
  if (!found) out += "\nNo group or flag is called '" + topic + "'. --help lists them all.\n";
  return out;
}

Result<int64_t> parse_human_int(const std::string& text) {
  int64_t exact = 0;  // a double holds whole numbers only up to 2^53
  if (auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exact);
      error == std::errc() && end == text.data() + text.size())
    return exact;
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  static const std::map<std::string_view, double> kUnits = {
      {"", 1.},     {"k", 1e3},      {"m", 1e6},         {"g", 1e9},           {"t", 1e12},
      {"K", 1024.}, {"M", 1048576.}, {"G", 1073741824.}, {"T", 1099511627776.}};
  auto scale = kUnits.find(unit);
  if (error != std::errc() || scale == kUnits.end())
    return invalid_argument("'" + text + "' is not a whole number (8192, 8k = 8000, 8K = 8192, 1.5m, 2G)");
  double value = number * scale->second;
  bool fraction_of_binary =
      value != number && number != std::floor(number) && !unit.empty() && std::isupper(unit[0]);
  if (value != std::floor(value) || std::abs(value) > 9e18 || fraction_of_binary)
    return invalid_argument("'" + text + "' is not a whole number");
  return static_cast<int64_t>(value);
}

void report_swallowed_model(std::span<const FlagSpec> table, const ParsedCommand& command) {
  if (!command.positional.empty() || command.flags.given("model")) return;
  for (const FlagSpec& spec : table) {
    if (spec.kind != FlagKind::kList) continue;
    const std::vector<std::string> items = command.flags.list(spec.name);
    if (items.size() < 2) continue;
    std::error_code ignored;
    const bool exists = std::filesystem::exists(items.back(), ignored);
    if (!exists && items.back().find('/') == std::string::npos) continue;
    log_warning(
        "--{} takes all values that follow it, {} as well, and no model is named. If that is the model, put "
        "it "
        "first: pagoda serve MODEL --{} ...",
        spec.name, exists ? "'" + items.back() + "'" : "the last one", spec.name);  // others may be keys
  }
}

void report_unused_flags(std::span<const FlagSpec> table, const FlagValues& values) {
  for (const FlagSpec& spec : table) {
    if (!values.given(spec.name) || spec.state == FlagState::kWorks) continue;
    if (spec.state == FlagState::kLater)
      log_warning("--{} is accepted but not built yet: it changes nothing.", spec.name);
    else
      log_info("--{} is accepted and changes nothing: there is nothing here that it would set.", spec.name);
  }
}

}  // namespace pagoda
