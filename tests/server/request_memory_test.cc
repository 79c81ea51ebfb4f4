// What requests take of --max-body-memory once they are understood: as long as their values wait, and no
// longer.
#include <atomic>

#include "tests/server/server_harness.h"

namespace pagoda::testing {
namespace {

// A chat of some 60 KB, which is parsed at once, and whose values take 1.3 MB.
std::string chat_of_values(int count = 30'000) {
  std::string body = std::string("{") + kUser + R"(,"max_tokens":1,"chat_template_kwargs":{"a":[0)";
  for (int i = 1; i < count; ++i) body += ",0";
  return body + "]}}";
}

TEST(RequestMemory, ValuesThatWaitAreCharged) {
  ServerHarness harness;
  harness.config.http.body_memory_max = std::size_t{5} << 20;
  harness.start();
  Gate gate;
  for (int i = 0; i < 2; ++i)  // the threads of the text pool
    ASSERT_TRUE(harness.scripted.text_pool->submit([&] { gate.enter(); }).ok());
  EXPECT_TRUE(gate.wait_entered(2));
  std::atomic<int> served{0}, refused{0}, small{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i)
    clients.emplace_back([&] {
      const HttpResponse answer = harness.post(kChat, chat_of_values());
      ++(answer.status == 503 ? refused : served);
      if (answer.status == 200) return;
      EXPECT_EQ(answer.status, 503) << answer.body;
      EXPECT_EQ(at(json(answer.body), {"error", "type"}).as_string(), "ServiceUnavailableError");
      EXPECT_EQ(HttpRequest{.headers = answer.headers}.header("retry-after").value_or(""), "1");
    });
  for (int i = 0; i < 6000 && refused == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(refused, 1) << "three fit, which wait";
  EXPECT_EQ(served, 0);
  clients.emplace_back([&] {
    if (harness.post(kChat, std::string("{") + kUser + R"(,"max_tokens":1})").status == 200) ++small;
  });
  gate.open();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(served, 3);
  EXPECT_EQ(small, 1) << "the small ones go through";
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(harness.post(kChat, chat_of_values()).status, 200) << "there is room again";
}

TEST(RequestMemory, WhatNeverFitsIsTooLarge) {
  ServerHarness harness;
  harness.config.http.body_memory_max = std::size_t{1} << 20;
  harness.start();
  std::string ids = "[1";
  for (int i = 1; i < 30'000; ++i) ids += ",1";
  ids += "]";
  struct Case {
    const char* path;
    std::string body;
  } cases[] = {{kChat, chat_of_values()},
               {kChat, chat_of_values(100'000)},  // not parsed at once
               {kText, R"({"prompt":)" + ids + "}"},
               {"/tokenize", chat_of_values()},
               {"/detokenize", R"({"tokens":)" + ids + "}"}};
  for (const Case& one : cases) {
    const HttpResponse answer = harness.post(one.path, one.body);
    EXPECT_EQ(answer.status, 413) << one.path << answer.body;
    EXPECT_NE(answer.body.find("--max-body-memory"), std::string::npos) << one.path << answer.body;
  }
}

}  // namespace
}  // namespace pagoda::testing
