#include "cli/observe_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;

Result<KvEventsConfig> events_of(const std::string& json) {
  PAGODA_TRY(ParsedCommand command, parse_flags(serve_flag_table(), {"--kv-events-config", json}));
  return read_kv_events(command.flags);
}

TEST(KvEventsFlag, HasVllmsDefaults) {
  const KvEventsConfig config = events_of("{}").value();
  EXPECT_FALSE(config.enabled);
  EXPECT_EQ(config.endpoint, "tcp://*:5557");
  EXPECT_EQ(config.replay_endpoint, "");
  EXPECT_EQ(config.buffer_steps, 10'000);
  EXPECT_EQ(config.hwm, 100'000);
  EXPECT_EQ(config.max_queue_size, 100'000);
  EXPECT_EQ(config.topic, "");
  EXPECT_TRUE(config.int_hashes);
  EXPECT_FALSE(config.array_events);
  EXPECT_FALSE(read_kv_events(parse_flags(serve_flag_table(), {}).value().flags).value().enabled);
}

TEST(KvEventsFlag, EachFieldReachesItsPlace) {
  const KvEventsConfig config =
      events_of(R"({"enable_kv_cache_events": true, "publisher": "zmq", "endpoint": "tcp://router:5557",)"
                R"("replay_endpoint": "tcp://*:5558", "buffer_steps": 7, "hwm": 8, "max_queue_size": 9,)"
                R"("topic": "kv@a@b", "encoding": "array"})")
          .value();
  EXPECT_TRUE(config.enabled);
  EXPECT_EQ(config.endpoint, "tcp://router:5557");
  EXPECT_EQ(config.replay_endpoint, "tcp://*:5558");
  EXPECT_EQ(config.buffer_steps, 7);
  EXPECT_EQ(config.hwm, 8);
  EXPECT_EQ(config.max_queue_size, 9);
  EXPECT_EQ(config.topic, "kv@a@b");
  EXPECT_TRUE(config.array_events);
}

TEST(KvEventsFlag, AreOnWithTheEventsUnlessThePublisherIsNull) {
  EXPECT_TRUE(events_of(R"({"enable_kv_cache_events": true})").value().enabled);
  EXPECT_TRUE(events_of(R"({"enable_kv_cache_events": true, "publisher": null})").value().enabled);
  EXPECT_FALSE(events_of(R"({"enable_kv_cache_events": true, "publisher": "null"})").value().enabled);
  EXPECT_FALSE(events_of(R"({"enable_kv_cache_events": false, "publisher": "zmq"})").value().enabled);
  EXPECT_EQ(events_of(R"({"replay_endpoint": null})").value().replay_endpoint, "");
}

TEST(KvEventsFlag, NamesTheFieldThatIsWrong) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"([1])", "must be a JSON object"},
      {R"({"enable": true})", "unknown field 'enable'"},
      {R"({"enable_kv_cache_events": 1})", "'enable_kv_cache_events' must be true or false, not integer"},
      {R"({"publisher": "kafka"})", "'publisher' must be 'zmq' or 'null', not 'kafka'"},
      {R"({"publisher": 3})", "'publisher' must be 'zmq' or 'null', not integer"},
      {R"({"endpoint": null})", "'endpoint' must be a string"},
      {R"({"endpoint": "*:5557"})", "not '*:5557'"},
      {R"({"endpoint": "tcp://"})", "'endpoint' must be a ZeroMQ endpoint"},
      {R"({"replay_endpoint": "http://a"})", "'replay_endpoint' must be a ZeroMQ endpoint"},
      {R"({"buffer_steps": -1})", "'buffer_steps' must be between 0 and"},
      {R"({"buffer_steps": 1.5})", "'buffer_steps' must be an integer, not number"},
      {R"({"hwm": 3000000000})", "'hwm' must be between 0 and"},
      {R"({"max_queue_size": 0})", "'max_queue_size' must be between 1 and"},
      {R"({"topic": 5})", "'topic' must be a string"},
      {R"({"encoding": "json"})", "'encoding' must be 'map' or 'array'"},
  };
  for (const auto& [json, message] : cases) {
    Result<KvEventsConfig> config = events_of(json);
    ASSERT_FALSE(config.ok()) << json;
    EXPECT_THAT(config.status().message(), HasSubstr(message));
    EXPECT_THAT(config.status().message(), HasSubstr("--kv-events-config")) << json;
  }
}

TEST(KvEventsFlag, HashesAreNumbersUnlessVllmsVariableSaysOtherwise) {
  constexpr const char* kName = "VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES";
  ::setenv(kName, "0", 1);
  EXPECT_FALSE(events_of("{}").value().int_hashes);
  ::setenv(kName, "yes", 1);
  EXPECT_THAT(events_of("{}").status().message(), HasSubstr(kName));
  ::unsetenv(kName);
}

TEST(BlockResidencyFlag, IsOffUnlessAskedFor) {
  auto sample_of = [](const std::vector<std::string>& arguments) {
    return read_residency_sample(parse_flags(serve_flag_table(), arguments).value().flags);
  };
  EXPECT_EQ(sample_of({}).value(), 0);
  EXPECT_EQ(sample_of({"--kv-cache-metrics"}).value(), 0.01);
  EXPECT_EQ(sample_of({"--kv-cache-metrics", "--kv-cache-metrics-sample", "1"}).value(), 1);
  EXPECT_FALSE(sample_of({"--kv-cache-metrics-sample", "0"}).ok());
  EXPECT_FALSE(sample_of({"--kv-cache-metrics-sample", "1.5"}).ok());
}

TEST(ObserveFlags, BoundsOfHistograms) {
  auto read = [](const std::string& json) {
    return read_histogram_bounds(
        parse_flags(serve_flag_table(), {"--custom-histogram-buckets", json}).value().flags);
  };
  EXPECT_TRUE(read("{}")->empty());
  HistogramBounds bounds = read(R"({"request_latency": [0.5, 1, 5], "iteration_tokens": [3]})").value();
  EXPECT_EQ(bounds.at("request_latency"), (std::vector<double>{0.5, 1, 5}));
  EXPECT_EQ(bounds.at("iteration_tokens"), std::vector<double>{3});
  struct Case {
    const char *json, *words;
  } cases[] = {{R"({"latency": [1]})", "unknown family 'latency'; there are request_latency, "},
               {R"({"request_latency": []})", "'request_latency' must be a list of 1 to"},
               {R"({"request_latency": 3})", "'request_latency' must be a list of 1 to"},
               {R"({"request_latency": [0]})", "must be a number above 0, not 0"},
               {R"({"request_latency": [true]})", "must be a number above 0, not true"},
               {R"({"request_latency": [1, 1]})", "must ascend: 1 comes after 1.0"},
               {"[]", "must be a JSON object"}};
  for (const Case& one : cases)
    EXPECT_THAT(read(one.json).status().message(), ::testing::HasSubstr(one.words)) << one.json;
}

}  // namespace
}  // namespace pagoda
