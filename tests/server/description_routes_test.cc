#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "openai/api_table.h"
#include "tests/server/server_harness.h"

namespace pagoda {
namespace {

using testing::at;
using ::testing::HasSubstr;
using testing::json;
using ::testing::Not;
using testing::ServerHarness;

TEST(DescriptionRoutes, EveryRouteIsDescribed) {
  ServerHarness harness;
  harness.config.dev_mode = harness.config.enable_tokenizer_info = true;
  harness.start();
  const Value document = json(harness.get("/openapi.json").body);
  std::size_t num_operations = 0;
  for (const Member& path : document.find("paths")->as_object())
    num_operations += path.value.as_object().size();
  EXPECT_EQ(num_operations, api_routes().size()) << "the table knows all that there are, and no others";
  for (const ApiRoute& route : api_routes()) {
    const std::string path = route.path;
    if (path.ends_with("/*")) continue;
    EXPECT_NE(harness.call("PATCH", path).status, 404) << path;
  }
  const HttpResponse page = harness.get("/docs");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("POST /pause"));
}

TEST(DescriptionRoutes, AreThereWhenAskedFor) {
  ServerHarness plain;
  plain.start();
  const Value document = json(plain.get("/openapi.json").body);
  EXPECT_EQ(document.find("paths")->find("/pause"), nullptr);
  EXPECT_EQ(document.find("paths")->find("/tokenizer_info"), nullptr);
  EXPECT_EQ(plain.get("/tokenizer_info").status, 404);
  EXPECT_EQ(plain.get("/server_info").status, 404);
  EXPECT_EQ(plain.get("/kv_event_sources").body, "{}");

  ServerHarness closed;
  closed.config.enable_docs = false;
  closed.start();
  EXPECT_EQ(closed.get("/docs").status, 404);
  EXPECT_EQ(closed.get("/openapi.json").status, 404);

  ServerHarness keys;
  keys.config.api_keys = {"k"};
  keys.config.dev_mode = true;
  keys.start();
  EXPECT_EQ(keys.get("/server_info").status, 401);
  EXPECT_EQ(keys.get("/openapi.json").status, 200);
  const Value guarded = json(keys.get("/openapi.json").body);
  EXPECT_NE(at(guarded, {"paths", "/v1/completions", "post"}).find("security"), nullptr);
  EXPECT_EQ(at(guarded, {"paths", "/health", "get"}).find("security"), nullptr);
}

TEST(DescriptionRoutes, TellOfTheServer) {
  ServerHarness harness;
  harness.config.dev_mode = harness.config.enable_tokenizer_info = true;
  harness.config.settings.set("max_num_seqs", int64_t{7});
  harness.config.environment.set("VLLM_LOG_STATS_INTERVAL", "5");
  Object source;
  source.set("endpoint", "tcp://*:5557");
  harness.config.kv_event_sources.set("0", std::move(source));
  harness.start();
  const Value text = json(harness.get("/server_info").body),
              info = json(harness.get("/server_info?config_format=json").body);
  EXPECT_THAT(text.find("vllm_config")->as_string(), HasSubstr("max_num_seqs=7"));
  EXPECT_EQ(at(info, {"vllm_config", "max_num_seqs"}).as_int(), 7);
  EXPECT_EQ(at(info, {"vllm_config", "version"}).as_string(), "1.2.3");
  EXPECT_GT(at(info, {"vllm_config", "max_model_len"}).as_int(), 0);
  EXPECT_EQ(at(info, {"vllm_env", "VLLM_LOG_STATS_INTERVAL"}).as_string(), "5");
  EXPECT_GT(at(info, {"system_env", "num_cpus"}).as_int(), 0);
  EXPECT_EQ(harness.get("/kv_event_sources").body, R"({"0":{"endpoint":"tcp://*:5557"}})");
  EXPECT_EQ(harness.get("/tokenizer_info").status, 200);
}

}  // namespace
}  // namespace pagoda
