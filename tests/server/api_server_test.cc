#include "server/api_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "http/client.h"
#include "tests/server/server_harness.h"

namespace pagoda {
namespace {

using testing::at;
using testing::bytes_of;
using testing::Gate;
using testing::json;
using testing::kChat;
using testing::kText;
using testing::kUser;
using testing::ServerHarness;

TEST(ApiServer, ChatWholeAndStreamed) {
  ServerHarness harness;
  harness.start();
  Value whole = json(harness.post(kChat, std::string("{") + kUser + R"(,"model":"second/name"})").body);
  EXPECT_EQ(at(whole, {"choices", "0", "message", "content"}).as_string(), "Hello, world.");
  EXPECT_EQ(at(whole, {"choices", "0", "finish_reason"}).as_string(), "stop");
  EXPECT_EQ(at(whole, {"model"}), Value(harness.scripted.model.served_names.front()));  // as vLLM
  EXPECT_EQ(at(whole, {"id"}).as_string().substr(0, 9), "chatcmpl-");
  EXPECT_EQ(at(whole, {"usage", "completion_tokens"}).as_int(), 14);

  auto events = harness.stream(kChat, std::string("{") + kUser +
                                          R"(,"stream":true,"n":2,"stream_options":)"
                                          R"({"include_usage":true,"continuous_usage_stats":true}})");
  std::string text[2];
  for (std::size_t i = 0; i < events.size(); ++i) {
    Value chunk = json(events[i]);
    EXPECT_EQ(at(chunk, {"object"}).as_string(), "chat.completion.chunk");
    if (i < 2) {
      EXPECT_EQ(at(chunk, {"choices", "0", "delta", "role"}).as_string(), "assistant");
      EXPECT_EQ(at(chunk, {"usage", "completion_tokens"}).as_int(), 0);
      EXPECT_EQ(at(chunk, {"usage", "prompt_tokens"}), at(whole, {"usage", "prompt_tokens"}));
    }
    if (i + 1 == events.size()) {
      EXPECT_TRUE(at(chunk, {"choices"}).as_array().empty());
      EXPECT_EQ(at(chunk, {"usage", "completion_tokens"}).as_int(), 28);
      EXPECT_EQ(at(chunk, {"usage", "prompt_tokens"}).as_int(),
                at(whole, {"usage", "prompt_tokens"}).as_int());
    } else {
      text[at(chunk, {"choices", "0", "index"}).as_int()] +=
          at(chunk, {"choices", "0", "delta", "content"}).as_string();
    }
  }
  EXPECT_EQ(text[0], "Hello, world.");
  EXPECT_EQ(text[1], "Hello, world.");
}

TEST(ApiServer, CompletionsWholeAndStreamed) {
  ServerHarness harness;
  harness.start();
  std::string body = R"({"prompt":["a","b"],"max_tokens":5,"echo":true,"logprobs":1,"n":2)";
  Value whole = json(harness.post(kText, body + "}").body);
  ASSERT_EQ(at(whole, {"choices"}).as_array().size(), 4u);
  EXPECT_EQ(at(whole, {"choices", "3", "text"}).as_string(), "bHello");
  EXPECT_EQ(at(whole, {"choices", "3", "index"}).as_int(), 3);
  EXPECT_EQ(at(whole, {"choices", "3", "logprobs", "tokens"}).as_array().size(), 7u);
  EXPECT_TRUE(at(whole, {"choices", "0", "logprobs", "token_logprobs", "0"}).is_null());
  EXPECT_EQ(at(whole, {"usage", "prompt_tokens"}).as_int(), 4);
  EXPECT_EQ(at(whole, {"usage", "completion_tokens"}).as_int(), 20);

  std::string text[4];
  Array offsets[4];
  auto events = harness.stream(kText, body + R"(,"stream":true,"stream_options":)"
                                             R"({"include_usage":true,"continuous_usage_stats":true}})");
  for (const std::string& event : events) {
    Value chunk = json(event);
    EXPECT_NE(chunk.find("usage"), nullptr) << event;
    if (at(chunk, {"choices"}).as_array().empty()) continue;
    auto index = static_cast<std::size_t>(at(chunk, {"choices", "0", "index"}).as_int());
    text[index] += at(chunk, {"choices", "0", "text"}).as_string();
    for (const Value& offset : at(chunk, {"choices", "0", "logprobs", "text_offset"}).as_array())
      offsets[index].push_back(offset);
  }
  for (int i = 0; i < 4; ++i) {
    const Value& choice = at(whole, {"choices"}).as_array()[static_cast<std::size_t>(i)];
    EXPECT_EQ(text[i], at(choice, {"text"}).as_string());
    EXPECT_EQ(Value(offsets[i]), at(choice, {"logprobs", "text_offset"}));
  }
}

struct ErrorCase {
  const char *method, *path, *body;
  int status;
  const char *type, *param;
};

TEST(ApiServer, Errors) {
  ServerHarness harness;
  harness.start();
  const ErrorCase cases[] = {
      {"POST", kChat, "{", 400, "Bad Request", "body.1"},
      {"POST", kChat, "", 400, "Bad Request", "body"},
      {"POST", kChat, R"({"messages":[{"role":"user","content":"x"}],"n":"x"})", 400, "Bad Request",
       "body.n"},
      {"POST", kChat, R"({"messages":[{"role":"user","content":"x"}],"n":0})", 400, "BadRequestError",
       nullptr},
      {"POST", kChat, R"({"messages":[{"role":"user","content":"x"}],"temperature":3})", 400,
       "BadRequestError", "temperature"},
      {"POST", kChat, R"({"messages":[{"role":"user","content":"x"}],"model":"m"})", 404, "NotFoundError",
       "model"},
      {"POST", kText, R"({"prompt":"x","max_tokens":300})", 400, "BadRequestError", "max_tokens"},
      {"POST", kText, R"({"prompt":"x","max_tokens":300,"stream":true})", 400, "BadRequestError",
       "max_tokens"},
      {"POST", "/tokenize", "{}", 400, "Bad Request", "body.prompt"},
      {"POST", "/tokenize", R"({"prompt":"x","model":"m"})", 404, "NotFoundError", "model"},
      {"POST", "/detokenize", R"({"tokens":[999]})", 400, "BadRequestError", "tokens"},
      {"GET", "/v1/models/nothing", "", 404, "NotFoundError", "model"},
  };
  for (const ErrorCase& one : cases) {
    HttpResponse response = harness.call(one.method, one.path, one.body);
    EXPECT_EQ(response.status, one.status) << one.path << one.body << response.body;
    Value error = at(json(response.body), {"error"});
    EXPECT_EQ(at(error, {"code"}).as_int(), one.status);
    EXPECT_EQ(at(error, {"type"}).as_string(), one.type);
    EXPECT_EQ(at(error, {"param"}), one.param == nullptr ? Value() : Value(one.param)) << response.body;
  }
}

// What never reaches a route of vLLM's is answered by the framework under it.
TEST(ApiServer, ErrorsOfTheFramework) {
  ServerHarness harness;
  harness.start();
  EXPECT_EQ(harness.get("/nothing").body, R"({"detail":"Not Found"})");
  EXPECT_EQ(harness.get(kChat).body, R"({"detail":"Method Not Allowed"})");
  EXPECT_EQ(harness.get(kChat).status, 405);
  for (const char* path : {kChat, kText, "/tokenize", "/detokenize"}) {
    HttpResponse response = harness.post(path, "{\"prompt\":\"\xff\"}");
    EXPECT_EQ(response.status, 400) << path;
    EXPECT_EQ(response.body, R"({"detail":"There was an error parsing the body"})") << path;
  }
}

TEST(ApiServer, BodiesAreSaidToBeJson) {
  ServerHarness harness;
  harness.start();
  const std::pair<const char*, int> cases[] = {
      {"application/json", 200},
      {"Application/JSON ; charset=utf-8", 200},
      {"application/json;", 200},
      {"text/html", 400},
      {"application/x-www-form-urlencoded", 400},
      {"application/vnd.api+json", 400},
      {"multipart/form-data", 400},
  };
  for (const auto& [type, status] : cases)
    for (const char* path : {kText, "/tokenize"}) {
      HttpResponse response = harness.call("POST", path, R"({"prompt":"x"})", {{"Content-Type", type}});
      EXPECT_EQ(response.status, status) << type << path << response.body;
      if (status == 200) continue;
      Value error = at(json(response.body), {"error"});
      EXPECT_EQ(at(error, {"type"}).as_string(), "Bad Request");
      EXPECT_TRUE(at(error, {"param"}).is_null());
    }
}

// Where the client says nothing of the length, what comes is counted.
TEST(ApiServer, AnswersKeepSoManyLogprobs) {
  ServerHarness harness;
  harness.scripted.model.answer_logprobs_max = 100;
  harness.scripted.script = [](const std::vector<TokenId>& prompt, int32_t) {
    return std::vector<TokenId>(prompt.size() % 2 == 0 ? 9 : 12, 'a');
  };
  harness.start();
  const std::string body = std::string("{") + kUser + R"(,"logprobs":true,"top_logprobs":9)";
  const HttpResponse short_one = harness.post(kChat, body + "}");
  const HttpResponse long_one = harness.post(
      kChat, R"({"messages":[{"role":"user","content":"hi!"}],"logprobs":true,"top_logprobs":9})");
  EXPECT_EQ(short_one.status + long_one.status, 200 + 400);
  const HttpResponse& refused = short_one.status == 400 ? short_one : long_one;
  EXPECT_EQ(at(json(refused.body), {"error", "param"}).as_string(), "logprobs");
  EXPECT_EQ(harness.stream(kChat, body + R"(,"n":2,"stream":true})").empty(), false);
  EXPECT_EQ(harness.post(kText, R"({"prompt":"abcdefghij","prompt_logprobs":9,"max_tokens":1})").status, 400);
}

TEST(ApiServer, ForcedUsageIsOnEveryChunk) {
  ServerHarness harness;
  harness.config.limits.force_include_usage = true;
  harness.config.enable_per_request_metrics = true;
  harness.start();
  for (const char* more : {"", R"(,"stream_options":{"include_usage":false})"}) {
    for (const std::string& event :
         harness.stream(kChat, std::string("{") + kUser + R"(,"stream":true)" + more + "}"))
      EXPECT_NE(json(event).find("usage"), nullptr) << event;
    std::vector<std::string> events =
        harness.stream(kText, std::string(R"({"prompt":"x","stream":true)") + more + "}");
    for (const std::string& event : events) EXPECT_NE(json(event).find("usage"), nullptr) << event;
    EXPECT_TRUE(at(json(events.back()), {"metrics", "time_to_first_token_ms"}).is_number()) << events.back();
  }
}

TEST(ApiServer, ChatStreamTellsPromptTokensWithTheRole) {
  ServerHarness harness;
  harness.start();
  auto events =
      harness.stream(kChat, std::string("{") + kUser + R"(,"stream":true,"n":2,"return_token_ids":true})");
  for (std::size_t i = 0; i < events.size(); ++i) {
    Value chunk = json(events[i]);
    const bool is_role = at(chunk, {"choices", "0", "delta"}).find("role") != nullptr;
    EXPECT_EQ(is_role, i < 2) << events[i];
    EXPECT_EQ(chunk.find("prompt_token_ids") != nullptr, is_role) << events[i];
    if (is_role) {
      EXPECT_FALSE(at(chunk, {"prompt_token_ids"}).as_array().empty());
    }
  }
}

TEST(ApiServer, ModelMayNotSayMoreThanWholeCharacters) {
  ServerHarness harness;
  harness.scripted.script = [](const std::vector<TokenId>&, int32_t) {
    return bytes_of("a\xf0\x9f\x99\x82");
  };
  harness.start();
  const char* whole[] = {"a", "a", "a", "a", "a\xf0\x9f\x99\x82"};
  for (int tokens = 1; tokens <= 5; ++tokens) {
    std::string body = R"({"prompt":"x","max_tokens":)" + std::to_string(tokens);
    EXPECT_EQ(at(json(harness.post(kText, body + "}").body), {"choices", "0", "text"}).as_string(),
              whole[tokens - 1]);
    std::string text;
    for (const std::string& event : harness.stream(kText, body + R"(,"stream":true})"))
      text += at(json(event), {"choices", "0", "text"}).as_string();
    EXPECT_EQ(text, whole[tokens - 1]);
  }
}

TEST(ApiServer, SmallRoutes) {
  ServerHarness harness;
  harness.start();
  EXPECT_EQ(harness.get("/health").status, 200);
  EXPECT_EQ(harness.get("/health").body, "");
  EXPECT_EQ(harness.get("/ping").status, 200);
  EXPECT_EQ(harness.post("/ping", "").status, 200);
  EXPECT_EQ(harness.get("/version").body, R"({"version":"1.2.3"})");
  EXPECT_NE(harness.get("/metrics").body.find("vllm:num_requests_running"), std::string::npos);
  harness.get("/v1/models");
  harness.get("/invented/" + std::string(100, 'x'));
  // A request is counted when its answer has left, which may be after its reader has it.
  std::string metrics;
  auto has = [&](const char* line) { return metrics.find(line) != std::string::npos; };
  for (int i = 0; i < 500; ++i) {
    metrics = harness.get("/metrics").body;
    if (has("http_requests_total{handler=\"none\"")) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(has("http_requests_total{handler=\"/v1/models\",method=\"GET\",status=\"2xx\"} 1.0\n"))
      << metrics;
  EXPECT_TRUE(has("http_requests_total{handler=\"none\",method=\"GET\",status=\"4xx\"} 1.0\n"));
  EXPECT_FALSE(has("invented") || has("handler=\"/health\""));
  Value models = json(harness.get("/v1/models").body);
  EXPECT_EQ(at(models, {"data", "0", "id"}).as_string(), "scripted");
  EXPECT_EQ(at(models, {"data", "1", "id"}).as_string(), "second/name");
  EXPECT_EQ(at(json(harness.get("/v1/models/second/name").body), {"max_model_len"}).as_int(), 256);
  EXPECT_EQ(at(json(harness.get("/v1/models/second%2Fname").body), {"id"}).as_string(), "second/name");
  Value tokens = json(harness.post("/tokenize", R"({"prompt":"hi","return_token_strs":true})").body);
  EXPECT_EQ(write_json(tokens),
            R"({"count":3,"max_model_len":256,"tokens":[256,104,105],"token_strs":["<s>","h","i"]})");
  EXPECT_EQ(harness.post("/detokenize", R"({"tokens":[104,105]})").body, R"({"prompt":"hi"})");
  Value chat = json(harness.post("/tokenize", std::string("{") + kUser + "}").body);
  EXPECT_EQ(at(chat, {"tokens", "0"}).as_int(), 256);
}

TEST(ApiServer, TokenizingIsBoundedLikeACompletion) {
  ServerHarness harness;
  harness.config.api_keys = {"k"};
  harness.config.request_timeout_s = 60;
  harness.start();
  const HttpHeaders key = {{"Authorization", "Bearer k"}};
  for (const char* path : {"/tokenize", "/detokenize"}) EXPECT_EQ(harness.post(path, "{}").status, 401);
  // What could fit the context of 256 tokens, though it does not, and what never could.
  HttpResponse longer =
      harness.call("POST", "/tokenize", R"({"prompt":")" + std::string(1000, 'x') + R"("})", key);
  EXPECT_EQ(at(json(longer.body), {"count"}).as_int(), 1001);
  const std::string huge(1 << 20, 'x');
  for (const std::string& body :
       {R"({"prompt":")" + huge + R"("})", R"({"messages":[{"role":"user","content":")" + huge + R"("}]})"}) {
    HttpResponse response = harness.call("POST", "/tokenize", body, key);
    EXPECT_EQ(response.status, 400);
    EXPECT_NE(response.body.find("can not fit"), std::string::npos) << response.body.substr(0, 300);
  }
  EXPECT_EQ(harness
                .call("POST", "/tokenize",
                      R"({"prompt":"","return_token_strs":true,"add_special_tokens":false})", key)
                .body,
            R"({"count":0,"max_model_len":256,"tokens":[],"token_strs":[]})");
  EXPECT_EQ(harness.call("POST", "/detokenize", R"({"tokens":[34,92,10]})", key).body,
            R"({"prompt":"\"\\\n"})");
}

TEST(ApiServer, TokenizingTakesAPlaceOfTheQueue) {
  ServerHarness harness;
  Gate gate;
  harness.scripted.config.scheduler.max_num_queued_reqs = 1;
  harness.scripted.on_step = [&] {
    gate.enter();
    return Status();
  };
  harness.start();
  std::thread client([&] { EXPECT_EQ(harness.post(kText, R"({"prompt":"x"})").status, 200); });
  EXPECT_TRUE(gate.wait_entered());
  HttpResponse response = harness.post("/tokenize", R"({"prompt":"hi"})");
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.body.find("queue is full"), std::string::npos);
  gate.open();
  client.join();
  EXPECT_TRUE(harness.scripted.engine->drain(60)) << "the place comes back with the last event";
}

TEST(ApiServer, KeysAndRequestIds) {
  ServerHarness harness;
  harness.config.api_keys = {"k1", "k2"};
  harness.config.system_fingerprint = "fp";
  harness.config.enable_prompt_tokens_details = true;
  harness.start();
  EXPECT_EQ(harness.get("/v1/models").status, 401);
  EXPECT_EQ(harness.get("/health").status, 200);
  std::string body = R"({"prompt":"x","request_id":"mine"})";
  HttpResponse response = harness.call("POST", kText, body, {{"Authorization", "Bearer k2"}});
  Value answer = json(response.body);
  EXPECT_EQ(at(answer, {"id"}).as_string(), "cmpl-mine");
  EXPECT_EQ(at(answer, {"system_fingerprint"}).as_string(), "fp");
  EXPECT_EQ(at(answer, {"usage", "prompt_tokens_details", "cached_tokens"}).as_int(), 0);
  EXPECT_EQ(at(answer, {"usage", "prompt_tokens_details", "created_cache_tokens"}).as_int(), 0);
  response = harness.call("POST", kText, body, {{"Authorization", "Bearer k1"}, {"X-Request-Id", "theirs"}});
  EXPECT_EQ(at(json(response.body), {"id"}).as_string(), "cmpl-theirs");
  body = R"({"prompt":"x","request_id":"mine\nINFO forged"})";
  response = harness.call("POST", kText, body, {{"Authorization", "Bearer k2"}});
  EXPECT_EQ(at(json(response.body), {"id"}).as_string().find("forged"), std::string::npos);
  for (const char* hidden : {"a\u009b31m", "a\u202eb", "a\u200bb"}) {
    response = harness.call("POST", kText, std::string(R"({"prompt":"x","request_id":")") + hidden + "\"}",
                            {{"Authorization", "Bearer k2"}, {"X-Request-Id", hidden}});
    EXPECT_EQ(at(json(response.body), {"id"}).as_string().find(hidden), std::string::npos) << hidden;
  }
}

TEST(ApiServer, FullQueueIs503WithRetryAfter) {
  ServerHarness harness;
  Gate gate;
  harness.scripted.config.scheduler.max_num_queued_reqs = 1;
  harness.scripted.on_step = [&] {
    gate.enter();
    return Status();
  };
  harness.start();
  std::thread first([&] { EXPECT_EQ(harness.post(kText, R"({"prompt":"x"})").status, 200); });
  EXPECT_TRUE(gate.wait_entered());
  HttpResponse response = harness.post(kText, R"({"prompt":"x"})");
  EXPECT_EQ(response.status, 503);
  bool retry = false;
  for (const auto& [name, value] : response.headers)
    retry |= (name == "retry-after" || name == "Retry-After") && value != "0";
  EXPECT_TRUE(retry);
  EXPECT_EQ(harness.get("/health").status, 200);
  gate.open();
  first.join();
}

TEST(ApiServer, AClientThatLeavesIsCancelled) {
  ServerHarness harness;
  harness.scripted.script = [](const std::vector<TokenId>&, int32_t) {
    return std::vector<TokenId>(1000, 'a');
  };
  harness.scripted.on_step = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return Status();
  };
  harness.start();
  ClientRequest request;
  request.method = "POST";
  request.url = harness.url(kText);
  request.body = R"({"prompt":"x","max_tokens":250,"stream":true,"n":3})";
  request.headers = {{"Content-Type", "application/json"}};
  auto started = std::chrono::steady_clock::now();
  (void)http_stream(request, [](std::string_view) { return false; });  // hangs up at the first piece
  EXPECT_TRUE(harness.wait_idle());
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(4))
      << "the whole answer takes 5 s";
  EXPECT_EQ(harness.scripted.metrics.success_abort.value(), 3);
  EXPECT_EQ(harness.scripted.engine->stats().kv_usage, 0);
}

TEST(ApiServer, FailureInMidStreamIsAnEvent) {
  ServerHarness harness;
  std::atomic<int> steps{0};
  harness.scripted.on_step = [&] { return ++steps > 5 ? internal_error("secret detail") : Status(); };
  harness.start();
  set_log_level(LogLevel::kOff);
  auto events = harness.stream(kText, R"({"prompt":"x","stream":true})");
  Value last = json(events.back());
  EXPECT_EQ(at(last, {"error", "code"}).as_int(), 500);
  EXPECT_EQ(events.back().find("secret"), std::string::npos);
  EXPECT_EQ(harness.get("/health").status, 503);
  EXPECT_EQ(harness.post(kText, R"({"prompt":"x"})").status, 503);
}

TEST(ApiServer, ManyClients) {
  ServerHarness harness;
  harness.start();
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 6; ++i) {
        bool stream = (c + i) % 2 == 0;
        std::string body = std::string("{") + kUser + (stream ? R"(,"stream":true})" : "}");
        HttpResponse response = harness.post(kChat, body);
        bool whole = !stream && at(json(response.body), {"choices", "0", "message", "content"}) ==
                                    Value("Hello, world.");
        good += response.status == 200 && (whole || response.body.find("data: [DONE]") != std::string::npos);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 48);
  EXPECT_TRUE(harness.wait_idle());
}

}  // namespace
}  // namespace pagoda
