#include "cli/log_flags.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "cli/environment.h"
#include "cli/flag_checks.h"

namespace pagoda {
namespace {

// Python's names and those of uvicorn.
Result<LogLevel> level_of(std::string name, const std::string& where) {
  static constexpr struct {
    const char* name;
    LogLevel level;
  } kNames[] = {{"CRITICAL", LogLevel::kError},  {"FATAL", LogLevel::kError},  {"ERROR", LogLevel::kError},
                {"WARNING", LogLevel::kWarning}, {"WARN", LogLevel::kWarning}, {"INFO", LogLevel::kInfo},
                {"DEBUG", LogLevel::kDebug},     {"NOTSET", LogLevel::kDebug}, {"TRACE", LogLevel::kDebug}};
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const auto& known : kNames)
    if (name == known.name) return known.level;
  return invalid_argument(
      where + " must be CRITICAL, ERROR, WARNING, INFO, DEBUG or NOTSET, not '" + name + "'", "log-level");
}

struct LoggingConfig {
  std::optional<LogLevel> level;
  LogFormat format = LogFormat::kText;
};

Status wrong(const std::string& what) {
  return invalid_argument("flag --logging-config: " + what, "logging-config");
}

Result<LoggingConfig> read_config(const FlagValues& flags) {
  LoggingConfig config;
  if (!flags.given("logging-config")) return config;
  PAGODA_TRY(Value given, object_flag(flags, "logging-config"));
  if (given.is_null()) return config;
  for (const Member& field : given.as_object()) {
    const Value& value = field.value;
    if (field.key == "configure_logging" && value.is_bool())
      continue;  // there is no other log that it would keep
    if (field.key == "pylogging_config_file" && (value.is_null() || value.is_string())) {
      if (value.is_string())
        log_warning(
            "--logging-config.pylogging_config_file configures Python's logging and does nothing here.");
      continue;
    }
    const bool known = field.key == "log_level" || field.key == "formatter" ||
                       field.key == "configure_logging" || field.key == "pylogging_config_file";
    if (!known)
      return wrong("unknown field '" + field.key +
                   "'; there are log_level, formatter, configure_logging and pylogging_config_file");
    if (!value.is_string()) return wrong("field '" + field.key + "' can not be " + value.type_name());
    if (field.key == "log_level") {
      PAGODA_TRY(config.level, level_of(value.as_string(), "flag --logging-config: field 'log_level'"));
    } else if (value.as_string() == "json" || value.as_string() == "text") {
      config.format = value.as_string() == "json" ? LogFormat::kJson : LogFormat::kText;
    } else {
      return wrong("field 'formatter' must be 'text' or 'json', not '" + value.as_string() + "'");
    }
  }
  return config;
}

}  // namespace

Result<LogOptions> read_log_flags(const FlagValues& flags) {
  PAGODA_TRY(LoggingConfig config, read_config(flags));
  LogOptions options;
  options.format = config.format;
  PAGODA_TRY(options.level, level_of(flags.text("uvicorn-log-level", "info"), "flag --uvicorn-log-level"));
  const std::string variable = variable_text("VLLM_LOGGING_LEVEL").value_or("");
  if (flags.given("log-level")) {
    PAGODA_TRY(options.level, level_of(flags.text("log-level"), "flag --log-level"));
  } else if (config.level) {
    options.level = *config.level;
  } else if (!variable.empty()) {
    PAGODA_TRY(options.level, level_of(variable, "the variable VLLM_LOGGING_LEVEL"));
  }
  return options;
}

}  // namespace pagoda
