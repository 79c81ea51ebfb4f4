// The end of a server: what is under way is waited for, and what takes too long hears so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/http/raw_client.h"
#include "tests/server/server_harness.h"

namespace pagoda {
namespace {

using testing::at;
using ::testing::EndsWith;
using testing::Gate;
using ::testing::HasSubstr;
using testing::json;
using testing::kChat;
using testing::kText;
using testing::kUser;
using testing::ServerHarness;

TEST(ApiServer, DrainsWhatIsRunning) {
  ServerHarness harness;
  Gate gate;
  harness.scripted.on_step = [&] {
    gate.enter();
    return Status();
  };
  harness.start();
  std::string text;
  std::thread client([&] {
    text = at(json(harness.post(kText, R"({"prompt":"x"})").body), {"choices", "0", "text"}).as_string();
  });
  EXPECT_TRUE(gate.wait_entered());
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    gate.open();
  });
  EXPECT_TRUE(harness.server->drain_and_stop(60));
  client.join();
  opener.join();
  EXPECT_EQ(text, "Hello, world.");
  EXPECT_EQ(harness.scripted.engine->reserve(1).status().code(), StatusCode::kUnavailable);
}

TEST(ApiServer, StopsInTimeWithRequestsInside) {
  ServerHarness harness;
  Gate gate;
  harness.scripted.on_step = [&] {
    gate.enter();
    return Status();
  };
  harness.start();
  HttpResponse whole, stream;
  std::thread client([&] { whole = harness.post(kText, R"({"prompt":"x"})"); });
  std::thread reader([&] { stream = harness.post(kText, R"({"prompt":"x","stream":true})"); });
  EXPECT_TRUE(gate.wait_entered());
  EXPECT_TRUE(eventually([&] { return harness.get("/load").body == R"({"server_load":2})"; }));
  EXPECT_FALSE(harness.server->drain_and_stop(0.05));
  client.join();
  reader.join();
  EXPECT_EQ(whole.status, 503) << whole.body;
  EXPECT_NE(at(json(whole.body), {"error", "message"}).as_string().find("shutting down"), std::string::npos);
  // Its prompt may have been taken by then, or not.
  EXPECT_NE(stream.body.find("shutting down"), std::string::npos) << stream.body;
  if (stream.status == 200) {
    EXPECT_NE(stream.body.find("data: [DONE]"), std::string::npos) << stream.body;
  }
  gate.open();
  EXPECT_TRUE(harness.scripted.engine->drain(60)) << "what was cut off is cancelled in the engine";
}

TEST(ApiServer, AStreamThatIsCutOffEndsWithTheError) {
  for (const bool chat : {false, true}) {
    ServerHarness harness;
    Gate gate;
    int step = 0;
    harness.scripted.on_step = [&] {
      if (++step > 3) gate.enter();
      return Status();
    };
    harness.start();
    RawClient client(harness.server->port());
    const std::string body = std::string("{") + (chat ? kUser : R"("prompt":"x")") + R"(,"stream":true})";
    client.send(std::string("POST ") + (chat ? kChat : kText) +
                " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const std::string begin = client.read_until(":\"l\"");
    EXPECT_EQ(status_of(begin), 200);
    EXPECT_THAT(begin, EndsWith(":\"l\"")) << "the stream is open, and has said something";
    EXPECT_TRUE(gate.wait_entered());
    EXPECT_FALSE(harness.server->drain_and_stop(0.05));
    const std::string rest = client.read_all();
    EXPECT_TRUE(client.eof());
    EXPECT_THAT(rest, HasSubstr(R"(data: {"error":{)"));
    EXPECT_THAT(rest, HasSubstr("shutting down"));
    EXPECT_THAT(rest, HasSubstr(R"("code":503)"));
    EXPECT_THAT(rest, EndsWith("data: [DONE]\n\n\r\n0\r\n\r\n"));
    gate.open();
    EXPECT_TRUE(harness.scripted.engine->drain(60)) << "what was cut off is cancelled in the engine";
  }
}

// With the text pool and the engine at a standstill.
TEST(ApiServer, WhateverARequestWaitsForItHearsThatItIsCutOff) {
  ServerHarness harness;
  harness.config.dev_mode = true;
  Gate step, text;
  harness.scripted.on_step = [&] {
    step.enter();
    return Status();
  };
  harness.start();
  const std::string padding(200 * 1024, ' ');
  const std::string large_answer = R"({"prompt":"x","n":16,"logprobs":20,"max_tokens":100})";
  const std::pair<std::string, std::string> requests[] = {
      {kText, large_answer},  // the engine's first step; the others wait for the text pool
      {"/tokenize", R"({"prompt":"x"})"},
      {"/tokenize", std::string("{") + kUser + "}"},
      {"/tokenize", "{" + padding + kUser + "}"},
      {"/detokenize", R"({"tokens":[97]})"},
      {"/detokenize", R"({"tokens":[97])" + padding + "}"},
      {kText, R"({"prompt":"x"})"},
      {kChat, std::string("{") + kUser + "}"},
      {kChat, "{" + padding + kUser + "}"},
      {kChat, std::string("{") + kUser + R"(,"stream":true})"},
      {"/pause?mode=wait", ""},
  };
  std::vector<std::future<HttpResponse>> answers;
  for (const auto& [path, body] : requests) {
    answers.push_back(std::async(std::launch::async, [&, path, body] { return harness.post(path, body); }));
    if (answers.size() > 1) continue;
    EXPECT_TRUE(step.wait_entered());
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(harness.scripted.text_pool->submit([&] { text.enter(); }).ok());
    EXPECT_TRUE(text.wait_entered(2));
  }
  EXPECT_TRUE(eventually([&] { return harness.server->num_requests() == std::ssize(requests); }));
  step.open();
  EXPECT_FALSE(harness.server->drain_and_stop(0.3));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const HttpResponse answer = answers[i].get();
    const auto& [path, body] = requests[i];
    if (answer.status == 200 && path.starts_with("/pause")) continue;
    EXPECT_EQ(answer.status, 503) << path << " " << body.substr(0, 80);
    EXPECT_THAT(answer.body, HasSubstr("shutting down")) << path << " " << body.substr(0, 80);
    EXPECT_THAT(answer.body, HasSubstr("ServiceUnavailableError")) << path;
  }
  text.open();
}

}  // namespace
}  // namespace pagoda
