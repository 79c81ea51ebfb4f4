// A server on a scripted engine, and a client: for the tests of the server room.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "http/client.h"
#include "server/api_server.h"
#include "tests/testing/gate.h"
#include "tests/testing/scripted_engine.h"

namespace pagoda::testing {

inline constexpr char kChat[] = "/v1/chat/completions";
inline constexpr char kText[] = "/v1/completions";
inline constexpr char kUser[] = R"("messages":[{"role":"user","content":"hi"}])";

struct ServerHarness {
  ScriptedEngine scripted;
  ApiServerConfig config;
  std::unique_ptr<ApiServer> server;

  ServerHarness() {
    set_log_level(LogLevel::kWarning);
    config.http.host = "127.0.0.1";
    config.http.port = 0;
    config.http.num_threads = 2;
    config.http.access_log = false;
    config.version = "1.2.3";
  }
  ~ServerHarness() { server.reset(); }
  void start() {
    scripted.start();
    server =
        std::make_unique<ApiServer>(config, scripted.intake.get(), scripted.engine.get(), &scripted.registry);
    ASSERT_TRUE(server->bind().ok());
    ASSERT_TRUE(server->start().ok());
  }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(server->port()) + path;
  }
  HttpResponse call(const std::string& method, const std::string& path, const std::string& body = {},
                    HttpHeaders headers = {}) const {
    ClientRequest request;
    request.method = method;
    request.url = url(path);
    request.body = body;
    request.headers = std::move(headers);
    request.timeout_s = 60;
    Result<HttpResponse> response = http_request(request);
    EXPECT_TRUE(response.ok()) << response.status().message();
    return response.ok() ? *response : HttpResponse{.status = 0};
  }
  HttpResponse get(const std::string& path) const { return call("GET", path); }
  HttpResponse post(const std::string& path, const std::string& body) const {
    return call("POST", path, body);
  }
  // The data of each event; the last one must be [DONE].
  std::vector<std::string> stream(const std::string& path, const std::string& body) const {
    std::string text = post(path, body).body;
    std::vector<std::string> events;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = text.find("\n\n", at);
      EXPECT_EQ(text.compare(at, 6, "data: "), 0) << text.substr(at);
      if (end == std::string::npos) break;
      events.push_back(text.substr(at + 6, end - at - 6));
      at = end + 2;
    }
    EXPECT_FALSE(events.empty());
    if (!events.empty()) {
      EXPECT_EQ(events.back(), "[DONE]");
      events.pop_back();
    }
    return events;
  }
  bool wait_idle() const {
    for (int i = 0; i < 6000; ++i) {
      SchedulerStats stats = scripted.engine->stats();
      if (get("/load").body == R"({"server_load":0})" && stats.num_running + stats.num_waiting == 0)
        return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
};

inline Value json(const std::string& text) {
  Result<Value> value = parse_json(text);
  EXPECT_TRUE(value.ok()) << text;
  return value.ok() ? *value : Value();
}
inline const Value& at(const Value& value, std::initializer_list<const char*> path) {
  const Value* now = &value;
  for (const char* name : path) {
    const Value* inner =
        now->is_array() ? &now->as_array()[static_cast<std::size_t>(std::atoi(name))] : now->find(name);
    static const Value kNone;
    if (inner == nullptr) {
      ADD_FAILURE() << "no " << name << " in " << write_json(value);
      return kNone;
    }
    now = inner;
  }
  return *now;
}

}  // namespace pagoda::testing
