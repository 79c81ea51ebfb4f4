#include "cli/log_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cli/serve_flags.h"

namespace pagoda {
namespace {

Result<LogOptions> read(const std::vector<std::string>& arguments, const char* variable = nullptr) {
  if (variable == nullptr)
    ::unsetenv("VLLM_LOGGING_LEVEL");
  else
    ::setenv("VLLM_LOGGING_LEVEL", variable, 1);
  PAGODA_TRY(ParsedCommand parsed, parse_flags(serve_flag_table(), arguments));
  Result<LogOptions> options = read_log_flags(parsed.flags);
  ::unsetenv("VLLM_LOGGING_LEVEL");
  return options;
}

TEST(LogFlags, TheNearestWordWins) {
  const struct {
    std::vector<std::string> arguments;
    const char* variable;
    LogLevel level;
  } cases[] = {
      {{}, nullptr, LogLevel::kInfo},
      {{}, "DEBUG", LogLevel::kDebug},
      {{}, "warning", LogLevel::kWarning},
      {{}, "", LogLevel::kInfo},
      {{"--uvicorn-log-level", "error"}, nullptr, LogLevel::kError},
      {{"--uvicorn-log-level", "error"}, "INFO", LogLevel::kInfo},
      {{"--log-level", "NOTSET"}, "ERROR", LogLevel::kDebug},
      {{"--log-level", "CRITICAL"}, nullptr, LogLevel::kError},
      {{"--logging-config", R"({"log_level": "WARNING"})"}, "DEBUG", LogLevel::kWarning},
      {{"--logging-config.log_level", "WARNING", "--log-level", "DEBUG"}, nullptr, LogLevel::kDebug},
  };
  for (const auto& [arguments, variable, level] : cases) {
    Result<LogOptions> options = read(arguments, variable);
    ASSERT_TRUE(options.ok()) << options.status().message();
    EXPECT_EQ(options->level, level) << ::testing::PrintToString(arguments);
    EXPECT_EQ(options->format, LogFormat::kText);
  }
  EXPECT_EQ(read({"--logging-config", R"({"formatter": "json", "configure_logging": true})"})->format,
            LogFormat::kJson);
}

TEST(LogFlags, MistakesAreNamed) {
  const struct {
    std::vector<std::string> arguments;
    const char *variable, *words;
  } cases[] = {
      {{}, "LOUD", "VLLM_LOGGING_LEVEL"},
      {{"--log-level", "LOUD"}, nullptr, "log-level"},
      {{"--logging-config", "[1]"}, nullptr, "--logging-config"},
      {{"--logging-config", R"({"level": 1})"}, nullptr, "'level'"},
      {{"--logging-config", R"({"log_level": 1})"}, nullptr, "'log_level'"},
      {{"--logging-config", R"({"log_level": "LOUD"})"}, nullptr, "'log_level'"},
      {{"--logging-config", R"({"formatter": "xml"})"}, nullptr, "'formatter'"},
      {{"--logging-config", R"({"configure_logging": 1})"}, nullptr, "'configure_logging'"},
  };
  for (const auto& [arguments, variable, words] : cases) {
    Result<LogOptions> options = read(arguments, variable);
    ASSERT_FALSE(options.ok()) << ::testing::PrintToString(arguments);
    EXPECT_THAT(options.status().message(), ::testing::HasSubstr(words));
  }
}

}  // namespace
}  // namespace pagoda
