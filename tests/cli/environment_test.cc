#include "cli/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>

#include "base/env.h"
#include "base/log.h"
#include "cli/serve_args.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A variable that is set until the end of the block.
class Set {
 public:
  Set(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Set() { ::unsetenv(name_); }

 private:
  const char* name_;
};

Result<ServeArgs> options_of(const std::vector<std::string>& arguments) {
  PAGODA_TRY(ParsedCommand command, parse_flags(serve_flag_table(), arguments));
  return serve_args(command);
}

// What a variable sets, as text; the flag that wins over it; a value that it cannot have.
struct Case {
  const char *name, *value, *expected;
  std::function<std::string(const ServeArgs&)> look;
  std::vector<std::string> flag;
  const char *with_flag, *bad;
};

std::string text_of(bool value) {
  return value ? "yes" : "no";
}
template <class T>
requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) std::string text_of(T value) {
  return std::to_string(static_cast<int64_t>(value));
}

const std::vector<Case>& cases() {
  using O = const ServeArgs&;
  static const std::vector<Case> all = {
      {"VLLM_API_KEY", "k", "k", [](O o) { return o.api.api_keys.at(0); }, {"--api-key", "f"}, "f", nullptr},
      {"VLLM_SERVER_DEV_MODE", "1", "yes", [](O o) { return text_of(o.api.dev_mode); }, {}, "", "on"},
      {"VLLM_SERVER_DEV_MODE", "2", "yes", [](O o) { return text_of(o.api.dev_mode); }, {}, "", "1.5"},
      {"VLLM_SERVER_DEV_MODE", "-1", "yes", [](O o) { return text_of(o.api.dev_mode); }, {}, "", nullptr},
      {"VLLM_MAX_N_SEQUENCES", "7", "7", [](O o) { return text_of(o.api.limits.n_max); }, {}, "", "0"},
      {"VLLM_MAX_COMPLETION_PROMPTS",
       "9",
       "9",
       [](O o) { return text_of(o.api.limits.prompts_max); },
       {},
       "",
       "x"},
      {"VLLM_MAX_STOP_STRINGS",
       "4",
       "4",
       [](O o) { return text_of(o.api.limits.stop_strings_max); },
       {},
       "",
       "-1"},
      {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE",
       "9",
       "9",
       [](O o) { return text_of(o.api.http.idle_timeout_s); },
       {},
       "",
       "1.5"},
      {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE",
       "0",
       "0",
       [](O o) { return text_of(o.api.http.idle_timeout_s); },
       {},
       "",
       "never"},
      {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE",
       "-1",
       "0",
       [](O o) { return text_of(o.api.http.idle_timeout_s); },
       {},
       "",
       nullptr},
      {"VLLM_CPU_OMP_THREADS_BIND",
       "0-1",
       "0-1",
       [](O o) { return o.engine.cpu.list; },
       {"--cpu-list", "0"},
       "0",
       nullptr},
      {"VLLM_CPU_NUM_OF_RESERVED_CPU",
       "1024",
       "1",
       [](O o) { return text_of(o.engine.cpu.num_threads); },
       {"--threads", "3"},
       "3",
       "few"},
      {"VLLM_CPU_KVCACHE_SPACE",
       "2",
       "2147483648",
       [](O o) { return text_of(o.engine.cache.kv_cache_memory_bytes.value_or(-1)); },
       {"--kv-cache-memory-bytes", "5"},
       "5",
       "2.5"},
      {"VLLM_CPU_KVCACHE_SPACE",
       "0",
       "-1",
       [](O o) { return text_of(o.engine.cache.kv_cache_memory_bytes.value_or(-1)); },
       {"--kv-cache-memory-bytes", "5"},
       "5",
       "-4"},
      {"VLLM_CPU_KVCACHE_SPACE",
       "2",
       "2147483648",
       [](O o) { return text_of(o.engine.cache.kv_cache_memory_bytes.value_or(-1)); },
       {"--gpu-memory-utilization", "0.3"},
       "-1",
       "4 GiB"},
      {"VLLM_ALLOW_LONG_MAX_MODEL_LEN",
       "true",
       "yes",
       [](O o) { return text_of(o.engine.model.allow_long_max_model_len); },
       {},
       "",
       "y"},
      {"VLLM_SKIP_MODEL_NAME_VALIDATION",
       "1",
       "yes",
       [](O o) { return text_of(o.engine.frontend.accept_any_model_name); },
       {},
       "",
       "on"},
      {"VLLM_LOG_STATS_INTERVAL",
       "3",
       "3",
       [](O o) { return text_of(o.engine.config.stats_interval_s); },
       {},
       "",
       "x"},
      {"VLLM_LOG_STATS_INTERVAL",
       "0",
       "10",
       [](O o) { return text_of(o.engine.config.stats_interval_s); },
       {},
       "",
       "nan"},
      {"VLLM_LOG_STATS_INTERVAL",
       "-1",
       "10",
       [](O o) { return text_of(o.engine.config.stats_interval_s); },
       {},
       "",
       "inf"},
      {"VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS",
       "40",
       "40",
       [](O o) { return text_of(o.engine.config.watchdog_timeout_s); },
       {"--watchdog-timeout", "50"},
       "50",
       "soon"},
      {"VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES",
       "0",
       "no",
       [](O o) { return text_of(o.engine.observability.kv_events.int_hashes); },
       {},
       "",
       "yes"},
      {"VLLM_LOGGING_LEVEL",
       "warning",
       "2",
       [](O o) { return text_of(static_cast<int>(o.log.level)); },
       {"--log-level", "ERROR"},
       "3",
       "LOUD"},
  };
  return all;
}

std::vector<std::string> with_events(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--kv-events-config", R"({"enable_kv_cache_events":true})"});
  return arguments;
}

TEST(Environment, EachVariableIsAFlagThatWasNotGiven) {
  std::set<std::string> tested;
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    tested.insert(one.name);
    {
      Set set(one.name, one.value);
      auto options = options_of(with_events({}));
      ASSERT_TRUE(options.ok()) << options.status().message();
      EXPECT_EQ(one.look(*options), one.expected);
      if (!one.flag.empty()) {
        EXPECT_EQ(one.look(options_of(with_events(one.flag)).value()), one.with_flag) << "the flag wins";
      }
    }
    Set empty(one.name, "");
    ASSERT_TRUE(options_of(with_events({})).ok()) << "empty is not set";
    if (one.bad == nullptr) continue;
    Set bad(one.name, one.bad);
    auto options = options_of(with_events({}));
    ASSERT_FALSE(options.ok());
    EXPECT_THAT(options.status().message(), AllOf(HasSubstr(one.name), HasSubstr(one.bad)));
  }
  for (const VariableSpec& spec : variable_table())
    EXPECT_EQ(spec.is_read, tested.count(spec.name) > 0) << spec.name;
}

TEST(Environment, TheTableIsSortedAndHasVllmsNames) {
  const auto table = variable_table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    EXPECT_TRUE(std::string(table[i].name).starts_with("VLLM_"));
    if (i > 0) {
      EXPECT_LT(std::string(table[i - 1].name), table[i].name);
    }
  }
  EXPECT_GT(table.size(), 290u);
}

std::string report() {
  flush_log(std::chrono::seconds(5));
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(report_variables(false).ok());
  flush_log(std::chrono::seconds(5));
  return ::testing::internal::GetCapturedStderr();
}

TEST(Environment, WhatIsSetAndNotReadIsTold) {
  set_log_level(LogLevel::kInfo);
  Set read("VLLM_LOG_STATS_INTERVAL", "5"), foreign("VLLM_USE_DEEP_GEMM", "1"),
      host("VLLM_HOST_IP", "10.0.0.1"), unknown("VLLM_NO_SUCH_THING", "1"),
      service("VLLM_PORT_8000_TCP_ADDR", "10.0.0.2"), port("VLLM_PORT", "tcp://10.0.0.2:8000");
  const std::string text = report();
  EXPECT_THAT(text, HasSubstr("VLLM_USE_DEEP_GEMM is set and changes nothing here."));
  EXPECT_THAT(text, HasSubstr("VLLM_HOST_IP is set and changes nothing here: "));
  EXPECT_THAT(text, HasSubstr("VLLM_NO_SUCH_THING is set, but neither vLLM nor Pagoda has such a variable."));
  EXPECT_THAT(text, HasSubstr("VLLM_PORT_8000_TCP_ADDR comes from a Kubernetes service"));
  EXPECT_THAT(text, HasSubstr("VLLM_PORT comes from a Kubernetes service"));
  EXPECT_THAT(text, Not(HasSubstr("VLLM_LOG_STATS_INTERVAL")));
  EXPECT_THAT(report_variables(true).message(), HasSubstr("VLLM_NO_SUCH_THING"));
}

TEST(Environment, NamesAreThoseWithThePrefix) {
  Set one("VLLM_TEST_B", "1=2"), two("VLLM_TEST_A", ""), other("XVLLM_TEST_C", "1");
  EXPECT_EQ(environment_names("VLLM_TEST_"), (std::vector<std::string>{"VLLM_TEST_A", "VLLM_TEST_B"}));
}

TEST(SwallowedModel, IsWarnedOf) {
  set_log_level(LogLevel::kInfo);
  const std::string folder = std::filesystem::temp_directory_path();
  auto warning_of = [](const std::vector<std::string>& arguments) {
    flush_log(std::chrono::seconds(5));
    ::testing::internal::CaptureStderr();
    report_swallowed_model(serve_flag_table(), parse_flags(serve_flag_table(), arguments).value());
    flush_log(std::chrono::seconds(5));
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(warning_of({"--api-key", "secret", folder}),
              AllOf(HasSubstr("--api-key takes all values"), HasSubstr("'" + folder + "'"),
                    Not(HasSubstr("secret"))));
  EXPECT_THAT(warning_of({"--served-model-name", "a", "org/name"}),
              HasSubstr("--served-model-name takes all values"));
  EXPECT_THAT(warning_of({"--api-key", "secret", "se/cret"}), Not(HasSubstr("cret'")));
  EXPECT_EQ(warning_of({folder, "--api-key", "a", folder}), "");
  EXPECT_EQ(warning_of({"--api-key", "a", "b"}), "");
  EXPECT_EQ(warning_of({"--api-key", folder}), "");
  EXPECT_EQ(warning_of({"--model", "m", "--api-key", "a", folder}), "");
}

}  // namespace
}  // namespace pagoda
