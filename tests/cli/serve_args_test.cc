#include "cli/serve_args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;

Result<ServeArgs> options_of(const std::vector<std::string>& arguments) {
  PAGODA_TRY(ParsedCommand command, parse_flags(serve_flag_table(), arguments));
  return serve_args(command);
}

TEST(ServeArgs, WithoutFlags) {
  ServeArgs options = options_of({}).value();
  EXPECT_EQ(options.engine.model.path, "");
  EXPECT_FALSE(options.engine.model.max_model_len.has_value());
  EXPECT_FALSE(options.engine.cache.kv_cache_memory_bytes.has_value());
  EXPECT_EQ(options.engine.config.scheduler.max_num_seqs, 128);
  EXPECT_EQ(options.engine.config.scheduler.max_num_batched_tokens, 256);
  EXPECT_EQ(options.api.http.port, 8000);
  EXPECT_EQ(options.shutdown_timeout_s, 30);
  EXPECT_TRUE(options.engine.config.log_stats && options.api.http.access_log);
  EXPECT_TRUE(options.api.http.cors.allowed_origins.empty());
  EXPECT_EQ(options.api.http.connections_max, 4096);
  EXPECT_EQ(options.api.http.body_memory_max, std::size_t{256} << 20);
  EXPECT_EQ(options.api.http.sse_keep_alive_s, 0);
  EXPECT_FALSE(options.quiet);
}

TEST(ServeArgs, KeysThatNoHeaderCarriesAreRefused) {
  for (const char* key : {"", " ", "k\n", "a\tb", "\x7f", " k", "k "})
    EXPECT_EQ(options_of({"--api-key", key}).status().param(), "api-key") << key;
  const std::string longest(65536 - 256, 'k');
  for (const std::string& key :
       {std::string("a b"), std::string("cl\u00e9"), std::string("\xff\x80"), longest})
    EXPECT_EQ(options_of({"--api-key", key}).value().api.api_keys.at(0), key);
  EXPECT_THAT(options_of({"--api-key", longest + "k"}).status().message(),
              HasSubstr("--h11-max-incomplete-event-size"));
  EXPECT_TRUE(options_of({"--api-key", longest + "k", "--h11-max-incomplete-event-size", "70000"}).ok());
  for (const char* key : {" ", "\n", "a\nb", "a\x1f"}) {
    setenv("VLLM_API_KEY", key, 1);
    EXPECT_THAT(options_of({}).status().message(), HasSubstr("VLLM_API_KEY")) << key;
  }
  for (const char* key : {"key", "cl\u00e9", "\xff\x80"}) {
    setenv("VLLM_API_KEY", (std::string(" ") + key + "\r\n").c_str(), 1);
    EXPECT_EQ(options_of({}).value().api.api_keys.at(0), key);
  }
  unsetenv("VLLM_API_KEY");
}

TEST(ServeArgs, NumbersWithoutEffectAreJudgedToo) {
  for (const char* name : {"--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size",
                           "--nnodes", "--decode-context-parallel-size", "--prefill-context-parallel-size"}) {
    for (const char* number : {"0", "-1"})
      EXPECT_THAT(options_of({name, number}).status().message(), HasSubstr(name)) << number;
    EXPECT_TRUE(options_of({name, "1"}).ok()) << name;
  }
  EXPECT_THAT(options_of({"--node-rank", "-1"}).status().message(), HasSubstr("--node-rank"));
}

TEST(ServeArgs, EachFlagReachesItsPlace) {
  ServeArgs options = options_of({"folder",
                                  "--port",
                                  "0",
                                  "--max-model-len",
                                  "auto",
                                  "--max-num-seqs",
                                  "7",
                                  "--block-size",
                                  "32",
                                  "--kv-cache-memory-bytes",
                                  "1G",
                                  "--num-gpu-blocks-override",
                                  "9",
                                  "--gpu-memory-utilization",
                                  "0.25",
                                  "--dtype",
                                  "half",
                                  "--served-model-name",
                                  "a",
                                  "b",
                                  "--api-key",
                                  "k",
                                  "--max-logprobs",
                                  "-1",
                                  "--disable-log-stats",
                                  "--uvicorn-log-level",
                                  "error",
                                  "--shutdown-timeout",
                                  "5",
                                  "--disable-access-log-for-endpoints",
                                  "/health,/metrics",
                                  "--allowed-origins",
                                  "[\"http://x\"]",
                                  "--hf-config-path",
                                  "shape",
                                  "--enable-log-outputs",
                                  "--max-log-len",
                                  "12",
                                  "--threads",
                                  "3",
                                  "--cpu-list",
                                  "0-3,8",
                                  "--packed-cache",
                                  "kept",
                                  "--cpu-tune",
                                  "tuned.json"})
                          .value();
  const EngineArgs& engine = options.engine;
  EXPECT_EQ(engine.model.path, "folder");
  EXPECT_EQ(engine.model.max_model_len, -1);
  EXPECT_EQ(engine.config.scheduler.max_num_seqs, 7);
  EXPECT_EQ(engine.cache.block_size, 32);
  EXPECT_EQ(engine.cache.kv_cache_memory_bytes, 1 << 30);
  EXPECT_EQ(engine.cache.num_gpu_blocks_override, 9);
  EXPECT_EQ(engine.cache.gpu_memory_utilization, 0.25);
  EXPECT_EQ(engine.model.dtype, "half");
  EXPECT_EQ(engine.frontend.served_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(engine.frontend.max_logprobs, -1);
  EXPECT_EQ(engine.model.hf_config, "shape/config.json");
  EXPECT_EQ(engine.cpu.num_threads, 3);
  EXPECT_EQ(engine.cpu.list, "0-3,8");
  EXPECT_EQ(engine.model.packed_cache, "kept");
  EXPECT_EQ(engine.cpu.tune, "tuned.json");
  EXPECT_FALSE(engine.config.log_stats);
  EXPECT_EQ(options.api.api_keys, std::vector<std::string>{"k"});
  EXPECT_EQ(options.api.max_log_len, 12);
  EXPECT_FALSE(options.api.enable_log_outputs);  // not without --enable-log-requests
  EXPECT_EQ(options.api.http.port, 0);
  EXPECT_EQ(options.api.http.cors.allowed_origins, std::vector<std::string>{"http://x"});
  EXPECT_EQ(options.api.http.access_log_excluded_paths, (std::vector<std::string>{"/health", "/metrics"}));
  EXPECT_EQ(options.shutdown_timeout_s, 5);
  EXPECT_TRUE(options.quiet && options.log.level == LogLevel::kError);
}

TEST(ServeArgs, BoundsOfTheHttpServer) {
  auto options =
      options_of({"--max-connections", "7", "--max-body-memory", "3", "--sse-keep-alive-interval", "15"});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->api.http.connections_max, 7);
  EXPECT_EQ(options->api.http.body_memory_max, std::size_t{3} << 20);
  EXPECT_EQ(options->api.http.sse_keep_alive_s, 15);
  for (const char* flag : {"--max-connections", "--max-body-memory"})
    EXPECT_FALSE(options_of({flag, "0"}).ok()) << flag;
  EXPECT_FALSE(options_of({"--sse-keep-alive-interval", "-1"}).ok());
}

TEST(ServeArgs, WhatRunsCanBeLessThanThereIsRoomFor) {
  auto options = options_of({"--max-num-seqs", "8", "--max-num-active-seqs", "3", "--max-num-batched-tokens",
                             "512", "--max-num-scheduled-tokens", "100", "--long-prefill-token-threshold",
                             "32", "--long-prefill-token-threshold-adaptive"});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->engine.config.scheduler.max_num_seqs, 8);
  EXPECT_EQ(options->engine.step_limits.max_num_active_seqs, 3);
  EXPECT_EQ(options->engine.step_limits.max_num_scheduled_tokens, 100);
  EXPECT_TRUE(options->engine.config.scheduler.long_prefill_token_threshold_adaptive);
  EXPECT_EQ(options_of({}).value().engine.step_limits.max_num_active_seqs, 0);
  const std::vector<std::string> wrong[] = {
      {"--max-num-seqs", "8", "--max-num-active-seqs", "9"},
      {"--max-num-active-seqs", "0"},
      {"--max-num-batched-tokens", "64", "--max-num-scheduled-tokens", "65"},
      {"--max-num-scheduled-tokens", "64", "--no-enable-chunked-prefill"}};
  for (const auto& arguments : wrong) EXPECT_FALSE(options_of(arguments).ok()) << arguments[1];
}

TEST(ServeArgs, AsynchronousSchedulingIsTwoPlansInFlight) {
  auto depth = [](const std::vector<std::string>& arguments) {
    return options_of(arguments).value().engine.config.scheduler.max_in_flight;
  };
  EXPECT_EQ(depth({}), 1);
  EXPECT_EQ(depth({"--async-scheduling"}), 2);
  EXPECT_EQ(depth({"--no-async-scheduling"}), 1);
}

TEST(ServeArgs, OneBoundOnN) {
  EXPECT_EQ(options_of({}).value().api.limits.n_max, 4096) << "what the queue holds";
  EXPECT_EQ(options_of({"--max-num-queued-reqs", "7"}).value().api.limits.n_max, 7);
  EXPECT_EQ(options_of({"--max-num-queued-reqs", "100000"}).value().api.limits.n_max, 16384);
}

TEST(ServeArgs, EveryNameOfACacheFormatIsOne) {
  for (const char* name : {"auto", "float32", "float", "bfloat16", "float16", "half", "fp8", "fp8_e4m3",
                           "fp8_per_token_head", "int8", "int8_per_token_head"}) {
    auto options = options_of({"--kv-cache-dtype", name});
    ASSERT_TRUE(options.ok()) << name;
    EXPECT_EQ(options->engine.cache.kv_cache_dtype, name);
  }
}

TEST(ServeArgs, QueuesTimesAndClients) {
  ServeArgs options =
      options_of({"--max-num-queued-tokens", "10k", "--scheduling-policy", "priority", "--request-timeout",
                  "2.5", "--client-weights", R"({"a":2})", "--stream-interval", "8", "--engine-stall-timeout",
                  "0", "--watchdog-timeout", "12", "--enable-sleep-mode", "--enable-per-request-metrics"})
          .value();
  EXPECT_EQ(options.engine.config.scheduler.max_num_queued_tokens, 10'000);
  EXPECT_EQ(options.engine.config.scheduler.policy, SchedulingPolicy::kPriority);
  EXPECT_EQ(options.engine.config.watchdog_timeout_s, 12);
  EXPECT_EQ(options.api.request_timeout_s, 2.5);
  EXPECT_EQ(options.api.client_weights.at("a"), 2u);
  EXPECT_EQ(options.api.stream_interval, 8);
  EXPECT_EQ(options.api.stall_timeout_s, 0);
  EXPECT_TRUE(options.api.enable_per_request_metrics);
  options = options_of({}).value();
  EXPECT_EQ(options.engine.config.scheduler.max_num_queued_tokens, 0);
  EXPECT_EQ(options.engine.config.watchdog_timeout_s, 300);
  EXPECT_EQ(options.api.stall_timeout_s, 60);
  EXPECT_EQ(options.api.request_timeout_s, 0);
  EXPECT_FALSE(options.api.dev_mode);
}

TEST(ServeArgs, WhatIsOutOfRangeIsNamed) {
  struct Case {
    std::vector<std::string> arguments;
    const char* words;
  };
  const Case cases[] = {
      {{"--port", "70000"}, "--port must be between 0 and 65535, not 70000"},
      {{"--max-model-len", "0"}, "--max-model-len must be positive"},
      {{"--max-model-len", "9e18"}, "--max-model-len"},
      {{"--max-num-seqs", "0"}, "--max-num-seqs must be between 1"},
      {{"--max-num-batched-tokens", "-1"}, "--max-num-batched-tokens"},
      {{"--block-size", "100000"}, "--block-size"},
      {{"--num-gpu-blocks-override", "1"}, "--num-gpu-blocks-override must be between 2"},
      {{"--kv-cache-memory-bytes", "0"}, "--kv-cache-memory-bytes"},
      {{"--gpu-memory-utilization", "1.5"}, "--gpu-memory-utilization must be above 0"},
      {{"--dtype", "int8"}, "--dtype must be one of auto, float32"},
      {{"--kv-cache-dtype", "fp8_e5m2"}, "--kv-cache-dtype fp8_e5m2: the 8-bit floating point cache is fp8"},
      {{"--kv-cache-dtype", "int4"}, "--kv-cache-dtype must be one of auto, float32"},
      {{"--hf-overrides", "[1]"}, "--hf-overrides must be a JSON object"},
      {{"--allowed-origins", "[1]"}, "--allowed-origins must be a JSON list of strings"},
      {{"--ssl-certfile", "c.pem"}, "go together"},
      {{"--ssl-cert-reqs", "2"}, "need TLS"},
      {{"--ssl-ca-certs", "c.pem"}, "need TLS"},
      {{"--ssl-ciphers", "HIGH"}, "need TLS"},
      {{"--api-key="}, "--api-key must not be empty"},
      {{"a", "b"}, "one model at a time"},
      {{"a", "--model", "b"}, "two models are given"},
      {{"--uvicorn-log-level", "loud"}, "--uvicorn-log-level must be one of"},
      {{"--shutdown-timeout", "-1"}, "--shutdown-timeout"},
      {{"--max-num-queued-tokens", "0"}, "--max-num-queued-tokens must be between 1"},
      {{"--scheduling-policy", "lifo"}, "--scheduling-policy must be one of fcfs, priority, fair"},
      {{"--client-weights", "[1]"}, "--client-weights must be a JSON object"},
      {{"--client-weights", R"({"a":0})"}, "--client-weights: the weight of 'a'"},
      {{"--client-weights", R"({"a":1.5})"}, "--client-weights: the weight of 'a'"},
      {{"--request-timeout", "0"}, "--request-timeout must be above 0"},
      {{"--stream-interval", "0"}, "--stream-interval"},
      {{"--watchdog-timeout", "-1"}, "--watchdog-timeout must be above 0"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.words);
    auto options = options_of(c.arguments);
    ASSERT_FALSE(options.ok());
    EXPECT_THAT(options.status().message(), HasSubstr(c.words));
  }
}

}  // namespace
}  // namespace pagoda
