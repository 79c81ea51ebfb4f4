// Time limits, fullness, pieces, timing, and the engine's commands, as HTTP clients see them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/server/server_harness.h"

namespace pagoda {
namespace {

using testing::at;
using testing::Gate;
using ::testing::HasSubstr;
using testing::json;
using testing::kChat;
using testing::kText;
using testing::kUser;
using testing::ServerHarness;

std::string header_of(const HttpResponse& response, std::string_view name) {
  HttpRequest as_request;  // compares without case
  as_request.headers = response.headers;
  return std::string(as_request.header(name).value_or(""));
}

// Answers without end, a token per `step`.
struct SlowHarness : ServerHarness {
  explicit SlowHarness(std::chrono::milliseconds step = std::chrono::milliseconds(3)) {
    config.dev_mode = true;
    scripted.script = [](const std::vector<TokenId>&, int32_t) { return std::vector<TokenId>(1000, 'a'); };
    scripted.on_step = [step] {
      std::this_thread::sleep_for(step);
      return Status();
    };
  }
  bool wait_running(int count) const {
    for (int i = 0; i < 6000; ++i) {
      if (scripted.engine->stats().num_running == count) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
};

TEST(ApiServer, TooManyPromptTokensAre503WithRetryAfter) {
  SlowHarness harness;
  harness.scripted.config.scheduler.max_num_queued_tokens = 8;
  harness.start();
  HttpResponse never = harness.post(kText, R"({"prompt":[1,2,3,4,5,6,7,8,9]})");
  EXPECT_EQ(never.status, 400);
  EXPECT_EQ(at(json(never.body), {"error", "param"}).as_string(), "prompt");
  std::thread first(
      [&] { EXPECT_EQ(harness.post(kText, R"({"prompt":[1,2,3,4,5,6],"max_tokens":100})").status, 200); });
  ASSERT_TRUE(harness.wait_running(1));
  HttpResponse full = harness.post(kText, R"({"prompt":[1,2,3,4]})");
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(at(json(full.body), {"error", "type"}).as_string(), "ServiceUnavailableError");
  EXPECT_GE(std::atoi(header_of(full, "retry-after").c_str()), 1);
  EXPECT_EQ(harness.post(kText, R"({"prompt":[1,2],"max_tokens":1})").status, 200);
  first.join();
  EXPECT_THAT(
      harness.get("/metrics").body,
      HasSubstr(
          R"(vllm:admission_rejections_total{model_name="scripted",reason="max_num_queued_tokens"} 1)"));
}

TEST(ApiServer, TimeLimits) {
  SlowHarness harness(std::chrono::milliseconds(20));
  harness.config.request_timeout_s = 0.4;
  harness.start();
  Value partial = json(harness.post(kText, R"({"prompt":"x","max_tokens":200})").body);
  EXPECT_EQ(at(partial, {"choices", "0", "finish_reason"}).as_string(), "timeout");
  EXPECT_FALSE(at(partial, {"choices", "0", "text"}).as_string().empty());
  auto events = harness.stream(kText, R"({"prompt":"x","max_tokens":200,"stream":true})");
  EXPECT_EQ(at(json(events.back()), {"choices", "0", "finish_reason"}).as_string(), "timeout");
  EXPECT_EQ(harness.post(kText, R"({"prompt":"x","timeout":0})").status, 400);
  EXPECT_EQ(harness.post("/pause", "").status, 200);  // no request gets a token
  HttpResponse late = harness.post(kText, R"({"prompt":"x","timeout":0.03})");
  EXPECT_EQ(late.status, 504) << late.body;
  EXPECT_EQ(at(json(late.body), {"error", "type"}).as_string(), "TimeoutError");
  events = harness.stream(kText, R"({"prompt":"x","timeout":0.03,"stream":true})");  // it has begun already
  EXPECT_EQ(at(json(events.back()), {"error", "code"}).as_int(), 504);
}

TEST(ApiServer, StreamsPiecesOfSeveralTokens) {
  ServerHarness harness;
  harness.config.stream_interval = 5;
  harness.start();
  struct Case {
    const char* fields;
    std::vector<std::string> texts;
  } cases[] = {{"", {"H", "ello,", " worl", "d."}},
               {R"(,"stream_interval":8)", {"H", "ello, wo", "rld."}},
               {R"(,"stream_interval":1,"max_tokens":3)", {"H", "e", "l"}},
               {R"(,"max_tokens":2)", {"H", "e"}}};
  for (const Case& one : cases) {
    std::vector<std::string> texts;
    for (const std::string& event : harness.stream(
             kText, std::string(R"({"prompt":"x","stream":true,"return_token_ids":true)") + one.fields + "}"))
      texts.push_back(at(json(event), {"choices", "0", "text"}).as_string());
    EXPECT_EQ(texts, one.texts) << one.fields;
  }
  std::string ids;
  for (const std::string& event :
       harness.stream(kText, R"({"prompt":"x","stream":true,"return_token_ids":true})")) {
    Value chunk = json(event);
    for (const Value& id : at(chunk, {"choices", "0", "token_ids"}).as_array())
      if (id.as_int() < 256) ids += static_cast<char>(id.as_int());
  }
  EXPECT_EQ(ids, "Hello, world.") << "no token is lost";
}

TEST(ApiServer, TimingInAnswers) {
  ServerHarness harness;
  harness.config.enable_per_request_metrics = true;
  harness.scripted.on_step = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(4));
    return Status();
  };
  harness.start();
  auto judge = [](const Value& answer) {
    auto number = [&](const char* name) { return at(answer, {"metrics", name}).as_double(); };
    EXPECT_GE(number("queue_time_ms"), 0);
    EXPECT_GE(number("time_to_first_token_ms"), 4);
    EXPECT_GE(number("generation_time_ms"), 4);
    const double tokens = static_cast<double>(at(answer, {"usage", "completion_tokens"}).as_int());
    EXPECT_NEAR(number("mean_itl_ms") * (tokens - 1), number("generation_time_ms"), 1e-6);
    EXPECT_NEAR(number("tokens_per_second") *
                    (number("time_to_first_token_ms") + number("generation_time_ms")) / 1000,
                tokens, 1e-6);
  };
  judge(json(harness.post(kText, R"({"prompt":"x"})").body));
  judge(json(harness.post(kText, R"({"prompt":"x","stop":"wor"})").body));  // ended by its reader
  auto events = harness.stream(
      kChat, std::string("{") + kUser + R"(,"stream":true,"stream_options":{"include_usage":true}})");
  judge(json(events.back()));
  events.pop_back();
  for (const std::string& event : events) EXPECT_EQ(json(event).find("metrics"), nullptr) << event;
  // Without a chunk of usage a stream has none.
  for (const std::string& event : harness.stream(kText, R"({"prompt":"x","stream":true})"))
    EXPECT_EQ(json(event).find("metrics"), nullptr) << event;
  // Of several choices or prompts they would tell of one.
  for (const char* body : {R"({"prompt":"x","n":2})", R"({"prompt":["x","y"]})"})
    EXPECT_EQ(json(harness.post(kText, body).body).find("metrics"), nullptr) << body;
  ServerHarness plain;
  plain.start();
  EXPECT_EQ(json(plain.post(kText, R"({"prompt":"x"})").body).find("metrics"), nullptr);
}

TEST(ApiServer, PausesAndResumes) {
  SlowHarness harness;
  harness.start();
  EXPECT_EQ(harness.get("/is_paused").body, R"({"is_paused":false})");
  std::thread running([&] {
    Value answer = json(harness.post(kText, R"({"prompt":"x","max_tokens":200})").body);
    EXPECT_EQ(at(answer, {"choices", "0", "finish_reason"}).as_string(), "abort");
  });
  ASSERT_TRUE(harness.wait_running(1));
  EXPECT_EQ(harness.post("/pause", "").body, R"({"status":"paused"})");
  running.join();
  EXPECT_EQ(harness.get("/is_paused").body, R"({"is_paused":true})");
  std::atomic<bool> answered{false};
  std::thread waiting([&] {
    EXPECT_EQ(harness.post(kText, R"({"prompt":"x","max_tokens":2})").status, 200);
    answered = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_FALSE(answered);
  EXPECT_EQ(harness.post("/resume", "").body, R"({"status":"resumed"})");
  waiting.join();
  EXPECT_EQ(harness.post("/pause?mode=wait&clear_cache=false", "").status, 200);
  EXPECT_EQ(harness.post("/resume", "").status, 200);
  EXPECT_EQ(harness.post("/pause?mode=keep", "").status, 200);
  EXPECT_EQ(harness.post("/resume", "").status, 200);
  HttpResponse bad = harness.post("/pause?mode=later", "");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(at(json(bad.body), {"error", "param"}).as_string(), "query.mode");
  EXPECT_EQ(at(json(bad.body), {"error", "type"}).as_string(), "Bad Request");
  EXPECT_EQ(at(json(harness.post("/pause?clear_cache=x", "").body), {"error", "param"}).as_string(),
            "query.clear_cache");
  EXPECT_EQ(harness.get("/is_paused").body, R"({"is_paused":false})");
}

constexpr const char* kControl[][2] = {{"POST", "/pause"},          {"POST", "/resume"},
                                       {"POST", "/abort_requests"}, {"POST", "/sleep"},
                                       {"GET", "/is_paused"},       {"GET", "/is_sleeping"},
                                       {"POST", "/wake_up"},        {"POST", "/reset_prefix_cache"}};

TEST(ApiServer, NobodyStopsAnOpenServer) {
  ServerHarness harness;
  harness.start();
  const std::string unknown = harness.get("/no/such/route").body;
  for (auto [method, path] : kControl) {
    HttpResponse answer = harness.call(method, path, "");
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body, unknown) << path;
  }
}

TEST(ApiServer, DevelopersCommandWithoutAKey) {
  ServerHarness harness;
  harness.config.dev_mode = true;
  harness.start();
  EXPECT_EQ(harness.post("/reset_prefix_cache", "").body, R"({"success":true})");
  EXPECT_EQ(harness.post("/sleep?level=1", "").status, 501) << "the scripted runner can not sleep";
  EXPECT_EQ(harness.get("/is_sleeping").body, R"({"is_sleeping":false})");
  EXPECT_EQ(harness.post("/sleep?level=3", "").status, 400);
  EXPECT_EQ(harness.post("/wake_up?tags=lunch", "").status, 400);
  EXPECT_EQ(harness.post("/wake_up?tags=weights&tags=kv_cache", "").body,
            R"({"status":"awake","tags":["weights","kv_cache"]})");
  EXPECT_EQ(harness.post("/wake_up", "").body, R"({"status":"awake","tags":null})");
}

TEST(ApiServer, SleepingAtLevelZeroIsAPause) {
  ServerHarness harness;
  harness.config.dev_mode = true;
  harness.start();
  for (const char* query : {"?level=0", "?level=0&mode=abort", "?mode=wait&level=0", "?level=0&mode=keep"}) {
    EXPECT_EQ(harness.post(std::string("/sleep") + query, "").body, R"({"status":"sleeping","level":0})");
    EXPECT_EQ(harness.get("/is_sleeping").body, R"({"is_sleeping":true})");
    EXPECT_EQ(harness.get("/is_paused").body, R"({"is_paused":true})");
    EXPECT_EQ(harness.post("/wake_up?tags=scheduling", "").body,
              R"({"status":"awake","tags":["scheduling"]})");
    EXPECT_EQ(harness.get("/is_sleeping").body, R"({"is_sleeping":false})");
  }
  EXPECT_EQ(harness.post("/sleep?level=2&mode=abort", "").status, 501);
  EXPECT_EQ(harness.get("/is_paused").body, R"({"is_paused":false})") << "what can not sleep goes on";
}

TEST(ApiServer, EveryQueryIsJudgedBeforeACommandIsCarriedOut) {
  ServerHarness harness;
  harness.config.dev_mode = true;
  harness.start();
  struct Case {
    const char *method, *path, *param;
  } cases[] = {
      {"POST", "/pause?mode=x", "query.mode"},
      {"POST", "/pause?mode=", "query.mode"},
      {"POST", "/pause?clear_cache=x", "query.clear_cache"},
      {"POST", "/pause?wait_for_inflight_requests=2", "query.wait_for_inflight_requests"},
      {"POST", "/sleep?mode=x", "query.mode"},
      {"POST", "/sleep?level=0&mode=Abort", "query.mode"},
      {"POST", "/sleep?level=3", "query.level"},
      {"POST", "/sleep?level=-1", "query.level"},
      {"POST", "/sleep?level=x", "query.level"},
      {"POST", "/sleep?level=", "query.level"},
      {"POST", "/wake_up?tags=lunch", "query.tags"},
      {"POST", "/reset_prefix_cache?reset_running_requests=x", "query.reset_running_requests"},
      {"POST", "/reset_prefix_cache?reset_external=2", "query.reset_external"},
      {"GET", "/server_info?config_format=x", "query.config_format"},
  };
  for (const Case& c : cases) {
    HttpResponse answer = harness.call(c.method, c.path);
    EXPECT_EQ(answer.status, 400) << c.path;
    EXPECT_EQ(at(json(answer.body), {"error", "param"}).as_string(), c.param) << c.path;
    EXPECT_EQ(at(json(answer.body), {"error", "type"}).as_string(), "Bad Request") << c.path;
  }
  EXPECT_EQ(harness.get("/is_sleeping").body, R"({"is_sleeping":false})");
  for (const char* query : {"?reset_running_requests=true", "?reset_external=1&reset_running_requests=no"})
    EXPECT_EQ(harness.post(std::string("/reset_prefix_cache") + query, "").body, R"({"success":true})");
  for (const char* body : {"", "{", "[]", "1", R"({"request_ids":"x"})"}) {
    HttpResponse answer = harness.post("/abort_requests", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(at(json(answer.body), {"error", "type"}).as_string(), "Bad Request") << body;
  }
}

TEST(ApiServer, CommandsNeedTheKey) {
  for (bool dev_mode : {false, true}) {
    ServerHarness harness;
    harness.config.api_keys = {"k"};
    harness.config.dev_mode = dev_mode;
    harness.start();
    for (auto [method, path] : kControl) {
      if (method == std::string("POST")) {
        EXPECT_EQ(harness.call(method, path, "{}").status, 401) << path;
      }
      EXPECT_NE(harness.call(method, path, "", {{"Authorization", "Bearer k"}}).status, 404) << path;
    }
    EXPECT_EQ(harness.call("POST", "/resume", "", {{"Authorization", "Bearer k"}}).status, 200);
  }
}

TEST(ApiServer, AbortsRequestsByTheirIds) {
  SlowHarness harness;
  harness.start();
  for (const char* id : {"mine", "cmpl-mine"}) {
    std::thread running([&] {
      Value answer = json(harness.post(kText, R"({"prompt":"x","max_tokens":200,"request_id":"mine"})").body);
      EXPECT_EQ(at(answer, {"choices", "0", "finish_reason"}).as_string(), "abort");
    });
    ASSERT_TRUE(harness.wait_running(1));
    EXPECT_EQ(harness.post("/abort_requests", R"({"request_ids":["other"]})").status, 200);
    EXPECT_EQ(harness.scripted.engine->stats().num_running, 1);
    EXPECT_EQ(harness.post("/abort_requests", std::string(R"({"request_ids":[")") + id + "\"]}").body,
              R"({"status":"aborted","aborted":1})");
    running.join();
    ASSERT_TRUE(harness.wait_idle());
  }
  for (const char* all : {"{}", R"({"request_ids":[]})", R"({"request_ids":null})"}) {
    EXPECT_EQ(harness.post("/abort_requests", all).body, R"({"status":"aborted","aborted":0})");
    std::thread running([&] {
      Value answer = json(harness.post(kText, R"({"prompt":"x","max_tokens":200})").body);
      EXPECT_EQ(at(answer, {"choices", "0", "finish_reason"}).as_string(), "abort");
    });
    ASSERT_TRUE(harness.wait_running(1));
    EXPECT_EQ(harness.post("/abort_requests", all).body, R"({"status":"aborted","aborted":1})") << all;
    running.join();
    ASSERT_TRUE(harness.wait_idle());
  }
  EXPECT_EQ(harness.post("/abort_requests", "[]").status, 400);
}

TEST(ApiServer, AHangingEngineIsNotHealthy) {
  ServerHarness harness;
  Gate gate;
  harness.config.stall_timeout_s = 0.02;
  harness.scripted.on_step = [&] {
    gate.enter();
    return Status();
  };
  harness.start();
  std::thread client([&] { EXPECT_EQ(harness.post(kText, R"({"prompt":"x"})").status, 200); });
  EXPECT_TRUE(gate.wait_entered());
  std::this_thread::sleep_for(std::chrono::milliseconds(40));
  EXPECT_EQ(harness.get("/health").status, 503);
  gate.open();
  client.join();
  EXPECT_TRUE(harness.wait_idle());
  EXPECT_EQ(harness.get("/health").status, 200);
}

}  // namespace
}  // namespace pagoda
