#include "cli/bench_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/bench_serve_flags.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<BenchServeOptions> options_of(const std::vector<std::string>& arguments) {
  PAGODA_TRY(ParsedCommand command, parse_flags(bench_serve_flag_table(), arguments));
  return bench_serve_options(command);
}

TEST(BenchServeFlags, DefaultsAreVllms) {
  BenchServeOptions options = options_of({}).value();
  EXPECT_EQ(options.load.base_url, "http://127.0.0.1:8000");
  EXPECT_EQ(options.load.endpoint, "/v1/completions");
  EXPECT_FALSE(options.load.style.chat);
  EXPECT_TRUE(std::isinf(options.arrivals.request_rate));
  EXPECT_EQ(options.arrivals.burstiness, 1);
  EXPECT_EQ(options.dataset.name, "random");
  EXPECT_EQ(options.dataset.num_prompts, 1000);
  EXPECT_EQ(options.dataset.random_input_len, 1024);
  EXPECT_EQ(options.dataset.random_output_len, 128);
  EXPECT_THAT(options.metrics.percentiles, ElementsAre(99));
  EXPECT_THAT(options.percentile_metrics, ElementsAre("ttft", "tpot", "itl"));
  EXPECT_TRUE(options.load.style.ignore_eos) << "random prompts have no end of text";
  EXPECT_FALSE(options_of({"--dataset-name", "custom"}).value().load.style.ignore_eos);
}

TEST(BenchServeFlags, EachReachesItsPlace) {
  BenchServeOptions options = options_of({"--backend",
                                          "openai-chat",
                                          "--host",
                                          "::1",
                                          "--port",
                                          "9",
                                          "--request-rate",
                                          "2.5",
                                          "--burstiness",
                                          "0.5",
                                          "--max-concurrency",
                                          "7",
                                          "--temperature",
                                          "0",
                                          "--top-k",
                                          "5",
                                          "--extra-body",
                                          "{\"top_k\": 6}",
                                          "--goodput",
                                          "ttft:100",
                                          "e2el:2000.5",
                                          "--metric-percentiles",
                                          "50, 99.9",
                                          "--percentile-metrics",
                                          "e2el,ttft",
                                          "--random-range-ratio",
                                          "{\"input\": 0.5, \"output\": 0}",
                                          "--output-len",
                                          "9",
                                          "--header",
                                          "X-A=b=c",
                                          "--metadata",
                                          "k=v",
                                          "--no-oversample",
                                          "--append-result"})
                                  .value();
  EXPECT_EQ(options.load.base_url, "http://[::1]:9");
  EXPECT_EQ(options.load.endpoint, "/v1/chat/completions");
  EXPECT_EQ(options.arrivals.request_rate, 2.5);
  EXPECT_EQ(options.arrivals.burstiness, 0.5);
  EXPECT_EQ(options.load.max_concurrency, 7);
  EXPECT_EQ(options.load.style.extra_body.find("temperature")->as_double(), 0);
  EXPECT_EQ(options.load.style.extra_body.find("top_k")->as_int(), 6) << "the extra body wins";
  EXPECT_EQ(options.metrics.goodput.ttft_ms, 100);
  EXPECT_EQ(options.metrics.goodput.e2el_ms, 2000.5);
  EXPECT_FALSE(options.metrics.goodput.tpot_ms.has_value());
  EXPECT_THAT(options.metrics.percentiles, ElementsAre(50, 99.9));
  EXPECT_THAT(options.percentile_metrics, ElementsAre("e2el", "ttft"));
  EXPECT_EQ(options.dataset.random_input_ratio, 0.5);
  EXPECT_EQ(options.dataset.random_output_ratio, 0);
  EXPECT_EQ(options.dataset.random_output_len, 9);
  EXPECT_EQ(options.dataset.custom_output_len, 9);
  EXPECT_EQ(options.dataset.sharegpt_output_len, 9);
  EXPECT_EQ(options.load.headers.at(0), (std::pair<std::string, std::string>{"X-A", "b=c"}));
  EXPECT_EQ(options.metadata.at(0).second, "v");
  EXPECT_FALSE(options.dataset.oversample);
  EXPECT_TRUE(options.save_result);
}

TEST(BenchServeFlags, ATraceHasItsOwnTimes) {
  EXPECT_TRUE(options_of({"--dataset-name", "timed_trace"}).value().self_timed);
  EXPECT_FALSE(options_of({"--dataset-name", "timed_trace", "--no-self-timed", "--request-rate", "1"})
                   .value()
                   .self_timed);
}

TEST(BenchServeFlags, MistakesAreNamed) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  const Case kCases[] = {
      {{"--request-rate", "0"}, "--request-rate must be a positive number or inf"},
      {{"--request-rate", "fast"}, "--request-rate"},
      {{"--burstiness", "-1"}, "--burstiness"},
      {{"--max-concurrency", "0"}, "--max-concurrency must be between 1"},
      {{"--backend", "tgi"}, "--backend must be one of"},
      {{"--backend", "openai-chat", "--endpoint", "/v1/completions"}, "do not go together"},
      {{"--endpoint", "v1"}, "--endpoint must be a path"},
      {{"--goodput", "ttft"}, "--goodput must be KEY:VALUE"},
      {{"--goodput", "itl:5"}, "ttft, tpot and e2el"},
      {{"--goodput", "ttft:-5"}, "NAME:MILLISECONDS"},
      {{"--percentile-metrics", "ttft,speed"}, "--percentile-metrics"},
      {{"--metric-percentiles", "101"}, "0 to 100"},
      {{"--random-range-ratio", "1"}, "--random-range-ratio"},
      {{"--random-range-ratio", "{\"input\": 0.1}"}, "--random-range-ratio"},
      {{"--ramp-up-strategy", "linear"}, "needs --ramp-up-start-rps"},
      {{"--ramp-up-strategy", "linear", "--ramp-up-start-rps", "5", "--ramp-up-end-rps", "2"},
       "must not be above"},
      {{"--ramp-up-strategy", "linear", "--request-rate", "3"}, "leave --request-rate out"},
      {{"--self-timed"}, "timed_trace"},
      {{"--dataset-name", "timed_trace", "--request-rate", "3"}, "--no-self-timed"},
      {{"--backend", "openai-chat", "--random-as-ids"}, "a chat has messages"},
      {{"--header", "novalue"}, "KEY=VALUE"},
      {{"--num-prompts", "0"}, "--num-prompts"},
      {{"--custom-output-len", "0"}, "--custom-output-len"},
      {{"--extra-body", "[]"}, "JSON object"},
      {{"model"}, "unexpected argument"},
  };
  for (const Case& c : kCases) {
    Result<BenchServeOptions> options = options_of(c.arguments);
    ASSERT_FALSE(options.ok()) << c.arguments[0];
    EXPECT_THAT(options.status().message(), HasSubstr(c.message));
  }
}

TEST(BenchFlags, EveryEngineFlagOfServeComesAlong) {
  std::vector<FlagSpec> table = with_engine_flags({{"seed", "", "Bench", FlagKind::kInt, "0", "Mine."}});
  std::multiset<std::string> names;
  for (const FlagSpec& spec : table) names.insert(spec.name);
  for (const FlagSpec& spec : serve_flag_table())
    EXPECT_EQ(names.count(spec.name), std::string(spec.group) == "Frontend" ? 0u : 1u) << spec.name;
  EXPECT_STREQ(table[0].help, "Mine.");
  ParsedCommand command =
      parse_flags(table, {"--load-format", "dummy", "--hf-config", "c.json", "--max-num-seqs", "3"}).value();
  EngineArgs options = engine_args(command).value();
  EXPECT_EQ(options.model.load_format, "dummy");
  EXPECT_EQ(options.model.hf_config, "c.json");
  EXPECT_EQ(options.config.scheduler.max_num_seqs, 3);
  EXPECT_FALSE(options.config.log_stats);
}

TEST(BenchFlags, ResultFiles) {
  std::string path = ::testing::TempDir() + "/bench_result.json";
  Object result;
  result.set("a", 1);
  ASSERT_TRUE(write_result_file(path, result).ok());
  ASSERT_TRUE(write_result_file(path, result).ok());
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_EQ(text.str(), "{\"a\": 1}");
  EXPECT_THAT(write_result_file("/no/such/folder/x.json", result).message(),
              HasSubstr("/no/such/folder/x.json"));
}

}  // namespace
}  // namespace pagoda
