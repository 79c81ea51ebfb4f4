#include "loadgen/load_generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "base/json.h"
#include "http/server.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;

// A server that streams `max_tokens` chunks from a thread of its own for each request.
class FakeServer {
 public:
  FakeServer() : server_(config()) {
    server_.on("POST", "/v1/completions",
               [this](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
                 answer(std::move(request), std::move(writer));
               });
    EXPECT_TRUE(server_.bind().ok());
    EXPECT_TRUE(server_.start().ok());
  }
  ~FakeServer() {
    server_.stop();
    for (std::thread& thread : threads_) thread.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  int most_at_once() const { return most_; }
  std::size_t num_clients() {
    std::lock_guard lock(mutex_);
    return clients_.size();
  }
  std::set<std::string> request_ids() {
    std::lock_guard lock(mutex_);
    return request_ids_;
  }
  std::string last_authorization() {
    std::lock_guard lock(mutex_);
    return authorization_;
  }

 private:
  static HttpServerConfig config() {
    HttpServerConfig config;
    config.host = "127.0.0.1";
    config.port = 0;
    config.access_log = false;
    return config;
  }

  void answer(HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
    {
      std::lock_guard lock(mutex_);
      clients_.insert(request.remote_address);
      authorization_ = request.header("authorization").value_or("");
      request_ids_.insert(std::string(request.header("x-request-id").value_or("")));
    }
    Value body = parse_json(request.body).value();
    std::string prompt = body.find("prompt")->as_string();
    if (prompt == "refuse") {
      HttpResponse refusal;
      refusal.status = 400;
      refusal.body = R"({"error":{"message":"no"}})";
      return writer->send(refusal);
    }
    int now = ++running_, most = most_;
    while (now > most && !most_.compare_exchange_weak(most, now)) {
    }
    threads_.emplace_back([this, writer, count = body.find("max_tokens")->as_int()] {
      writer->start_stream(200, "text/event-stream", {});
      for (int64_t i = 0; i < count; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        const char* finish = i + 1 == count ? "\"length\"" : "null";
        writer->write(std::string("data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":") + finish +
                      "}]}\n\n");
      }
      --running_;
      writer->write("data: [DONE]\n\n");
      writer->finish();
    });
  }

  HttpServer server_;
  std::atomic<int> running_{0}, most_{0};
  std::mutex mutex_;
  std::set<std::string> clients_, request_ids_;
  std::string authorization_;
  std::vector<std::thread> threads_;  // of the I/O thread
};

std::vector<BenchPrompt> prompts_of(std::size_t count) {
  return std::vector<BenchPrompt>(count, BenchPrompt{"hello", {}, 5, 4});
}

TEST(LoadGenerator, KeepsToTheConcurrencyAndItsConnections) {
  FakeServer server;
  LoadOptions options;
  options.base_url = server.url();
  options.max_concurrency = 3;
  options.headers = {{"Authorization", "Bearer key"}};
  options.request_id_prefix = "run-";
  std::size_t last_progress = 0;
  options.on_progress = [&](std::size_t done) { last_progress = done; };
  LoadResult result = run_load(options, prompts_of(20), std::vector<double>(20, 0)).value();
  EXPECT_LE(server.most_at_once(), 3);
  EXPECT_LE(server.num_clients(), 3u) << "connections are kept";
  EXPECT_EQ(server.request_ids().size(), 20u);
  EXPECT_EQ(*server.request_ids().begin(), "run-0");
  EXPECT_EQ(server.last_authorization(), "Bearer key");
  EXPECT_EQ(last_progress, 20u);
  for (const RequestRecord& record : result.records) {
    ASSERT_TRUE(record.success) << record.error;
    EXPECT_EQ(record.output_len, 4);
    EXPECT_FALSE(record.has_usage);
    EXPECT_EQ(record.prompt_len, 5);
    EXPECT_GT(record.ttft, 0);
    EXPECT_LE(record.start_time + record.latency, result.duration_s);
  }
  EXPECT_GT(result.records.back().client_queue_time, 0) << "it waited for a place";
}

TEST(LoadGenerator, SendsAtTheTimesGiven) {
  FakeServer server;
  LoadOptions options;
  options.base_url = server.url() + "/";
  LoadResult result = run_load(options, prompts_of(3), {0, 0.05, 0.1}).value();
  const double kTimes[] = {0, 0.05, 0.1};
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(result.records[i].success) << result.records[i].error;
    EXPECT_GE(result.records[i].start_time, kTimes[i]);
  }
}

TEST(LoadGenerator, OneFailureLeavesTheOthers) {
  FakeServer server;
  LoadOptions options;
  options.base_url = server.url();
  std::vector<BenchPrompt> prompts = prompts_of(3);
  prompts[1].text = "refuse";
  LoadResult result = run_load(options, prompts, {0, 0, 0}).value();
  EXPECT_TRUE(result.records[0].success && result.records[2].success);
  EXPECT_EQ(result.records[1].error, "HTTP status 400: no");
}

TEST(LoadGenerator, ServersThatAreNotThere) {
  LoadOptions options;
  options.base_url = "http://127.0.0.1:1";
  EXPECT_THAT(run_load(options, prompts_of(1), {0}).value().records[0].error, HasSubstr("cannot connect"));
  EXPECT_THAT(wait_until_ready(options, prompts_of(1)[0], 0.1).message(), HasSubstr("not ready"));
  options.base_url = "ftp://x";
  EXPECT_FALSE(run_load(options, prompts_of(1), {0}).ok());
}

TEST(LoadGenerator, WaitsUntilTheServerIsReady) {
  FakeServer server;
  LoadOptions options;
  options.base_url = server.url();
  EXPECT_TRUE(wait_until_ready(options, prompts_of(1)[0], 10).ok());
}

}  // namespace
}  // namespace pagoda
