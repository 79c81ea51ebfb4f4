// What the server says early, and to whom: on the head of a request, to other pages, when a stream begins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "tests/http/raw_client.h"
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

std::string head(const std::string& line, const std::string& fields, std::size_t length = 60u << 20) {
  return line + " HTTP/1.1\r\nHost: a\r\n" + fields + "Content-Length: " + std::to_string(length) +
         "\r\n\r\n";
}

TEST(Early, RefusalsComeBeforeTheBody) {
  ServerHarness harness;
  harness.config.api_keys = {"k"};
  harness.start();
  const std::string key = "Authorization: Bearer k\r\n", text_type = "Content-Type: text/plain\r\n";
  const struct {
    std::string head;
    int status;
  } cases[] = {
      {head("POST /v1/chat/completions", ""), 401},
      {head("POST /v1/completions/", "Expect: 100-continue\r\n"), 401},
      {head("POST /pause/", ""), 401},
      {head("POST /v1/chat/completions", key + text_type), 400},
      {head("POST /v1/completions", key + text_type), 400},
      {head("POST /v1/nothing", key), 404},
      {head("PUT /v1/completions", key), 405},
      {head("POST /v1/completions", key, 65u << 20), 413},
      {head("GET /health", ""), 413},
      {head("POST /ping", ""), 413},
      {head("GET /metrics", ""), 413},
      {head("POST /pause", key), 413},
      {head("GET /v1/models", key), 413},
  };
  for (const auto& one : cases) {
    RawClient client(harness.server->port());
    client.send(one.head);
    std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), one.status) << one.head << answer;
    EXPECT_THAT(answer, HasSubstr("connection: close")) << one.head;
  }
  RawClient client(harness.server->port());
  client.send(head("POST /v1/completions", key + "Expect: 100-continue\r\n", 14));
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(R"({"prompt":"x"})");
  EXPECT_EQ(status_of(client.read_answer()), 200);
}

TEST(Early, TwoKeysAreNone) {
  ServerHarness harness;
  harness.config.api_keys = {"k"};
  harness.start();
  RawClient client(harness.server->port());
  const std::string good = "Authorization: Bearer k\r\n", bad = "authorization: Bearer x\r\n";
  client.send("GET /v1/models HTTP/1.1\r\nHost: a\r\n" + good + bad + "\r\n");
  EXPECT_EQ(status_of(client.read_answer()), 400);
}

TEST(Early, OtherPagesDoNotCommand) {
  ServerHarness harness;
  harness.config.dev_mode = true;
  harness.config.http.cors.allowed_origins = {"https://ours"};
  harness.start();
  for (const char* path :
       {"/pause", "/resume", "/sleep", "/wake_up", "/reset_prefix_cache", "/abort_requests", "/pause/"}) {
    const std::string body = R"({"request_ids":["none"]})";
    HttpResponse refused = harness.call("POST", path, body, {{"Origin", "https://evil"}});
    EXPECT_EQ(refused.status, 403) << path << " " << refused.body;
    EXPECT_EQ(harness.call("POST", path, body, {{"Origin", "null"}}).status, 403) << path;
    EXPECT_NE(harness.call("POST", path, body, {{"Origin", "https://ours"}}).status, 403) << path;
    EXPECT_NE(harness.call("POST", path, body).status, 403) << path;
  }
  EXPECT_EQ(harness.call("GET", "/is_paused", "", {{"Origin", "https://evil"}}).status, 200) << "no command";
  EXPECT_EQ(harness.call("POST", "/resume", "").status, 200);
}

TEST(Early, SlashesAtTheEndDoNotCount) {
  ServerHarness harness;
  harness.start();
  EXPECT_EQ(harness.post("/v1/completions/", R"({"prompt":"x"})").status, 200);
  EXPECT_EQ(harness.post("/v1/chat/completions/", std::string("{") + kUser + "}").status, 200);
  EXPECT_EQ(harness.post("/tokenize/", R"({"prompt":"x"})").status, 200);
  for (const char* path : {"/metrics/", "/health/", "/v1/models/", "/version/", "/v1/models/scripted/"})
    EXPECT_EQ(harness.get(path).status, 200) << path;
  EXPECT_EQ(harness.get("/nothing/").status, 404);
}

TEST(Early, AStreamBeginsBeforeItsPromptIsComputed) {
  ServerHarness harness;
  Gate gate;
  harness.scripted.on_step = [&] {
    gate.enter();
    return Status();
  };
  harness.config.http.sse_keep_alive_s = 0.05;
  harness.start();
  RawClient client(harness.server->port());
  const std::string body = std::string("{") + kUser + R"(,"stream":true})";
  client.send(head(std::string("POST ") + kChat, "", body.size()) + body);
  std::string begin = client.read_until("\r\n\r\n");
  EXPECT_EQ(status_of(begin), 200) << begin;
  EXPECT_THAT(begin, HasSubstr("content-type: text/event-stream"));
  EXPECT_TRUE(gate.wait_entered());  // and no step has ended yet
  EXPECT_EQ(client.read_until(": keep-alive\n\n"), "e\r\n: keep-alive\n\n");
  EXPECT_EQ(harness.post(kText, R"({"prompt":"x","max_tokens":100000,"stream":true})").status, 400)
      << "what is known at admission is still an HTTP error";
  gate.open();
  std::string rest = client.read_until("0\r\n\r\n");
  EXPECT_THAT(rest, HasSubstr("data: {"));
  EXPECT_THAT(rest, HasSubstr("data: [DONE]"));
}

TEST(Early, LargeBodiesAreUnderstoodElsewhereAndAlike) {
  ServerHarness harness;
  harness.start();
  const std::string padding(200 * 1024, ' ');
  for (const std::string& pad : {std::string(), padding}) {
    HttpResponse chat = harness.post(kChat, "{" + pad + kUser + "}");
    EXPECT_EQ(chat.status, 200) << chat.body;
    EXPECT_EQ(at(json(chat.body), {"choices", "0", "message", "content"}).as_string(), "Hello, world.");
    EXPECT_EQ(harness.post(kText, R"({"prompt":"x")" + pad + "}").status, 200);
    EXPECT_EQ(harness.post("/tokenize", R"({"prompt":"x")" + pad + "}").status, 200);
    EXPECT_EQ(harness.post("/detokenize", R"({"tokens":[97])" + pad + "}").status, 200);
    for (const char* path : {kChat, kText, "/tokenize", "/detokenize"}) {
      HttpResponse wrong = harness.post(path, "{" + pad + "]");
      EXPECT_EQ(wrong.status, 400) << path;
      EXPECT_THAT(wrong.body, HasSubstr("not valid")) << path;
    }
  }
  std::string many = R"({"prompt":[)";
  for (int i = 0; i < (1 << 21); ++i) many += "1,";
  HttpResponse refused = harness.post(kText, many + "1]}");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("values"));
}

TEST(Early, LargeAnswersAreWrittenElsewhere) {
  ServerHarness harness;
  harness.scripted.script = [](const std::vector<TokenId>&, int32_t) {
    return std::vector<TokenId>(1000, 'a');
  };
  harness.start();
  HttpResponse answer = harness.post(kText, R"({"prompt":"x","n":20,"max_tokens":250})");
  EXPECT_EQ(answer.status, 200) << answer.body.substr(0, 500);
  Value body = json(answer.body);
  ASSERT_EQ(at(body, {"choices"}).as_array().size(), 20u);
  for (const Value& choice : at(body, {"choices"}).as_array())
    EXPECT_EQ(at(choice, {"text"}).as_string(), std::string(250, 'a'));
  EXPECT_TRUE(harness.wait_idle()) << "it counts until it is sent, and no longer";
}

}  // namespace
}  // namespace pagoda
