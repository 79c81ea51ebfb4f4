// A generation that finds no memory while it begins is answered, and leaves nothing behind.
#include "server/generation.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/log.h"
#include "server/routes.h"
#include "tests/testing/failing_new.h"
#include "tests/testing/scripted_engine.h"

namespace pagoda {
namespace {

// The test's thread is the connection's.
class Writer : public ResponseWriter {
 public:
  void send(HttpResponse response) override {
    std::lock_guard lock(mutex_);
    ++num_sent;
    status = response.status;
    changed_.notify_all();
  }
  void start_stream(int, std::string, HttpHeaders) override { ADD_FAILURE(); }
  void write(std::string) override { ADD_FAILURE(); }
  void finish() override { ADD_FAILURE(); }
  void post(std::function<void()> task) override {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  void on_close(std::function<void()> callback) override { callback_ = std::move(callback); }
  bool closed() const override { return false; }
  bool writable(std::function<void()>) override { return true; }
  // Runs what is posted until there is an answer and nothing more to do.
  void run_until_sent() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    std::unique_lock lock(mutex_);
    while (num_sent == 0 || !tasks_.empty()) {
      ASSERT_TRUE(changed_.wait_until(lock, end, [this] { return num_sent > 0 || !tasks_.empty(); }));
      if (tasks_.empty()) return;
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  int num_sent = 0, status = 0;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::function<void()> callback_;
};

TEST(Generation, WithoutMemoryToBeginItIsAnsweredAndForgotten) {
  if (!can_allocations_fail()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  testing::ScriptedEngine scripted;
  scripted.start();
  ApiServerConfig config;
  config.request_timeout_s = 1000;
  RouteContext context{config, scripted.intake.get(), scripted.engine.get(), &scripted.registry, {}};
  set_log_level(LogLevel::kOff);
  int num_refused = 0;
  bool failed = true;
  for (int k = 0; failed; ++k) {
    ASSERT_LT(k, 1000);
    ParsedRequest request;
    request.generate.prompt = std::vector<TextPrompt>{"a", "b"};
    request.generate.sampling.max_tokens = 20;
    request.shape.n = 2;
    auto writer = std::make_shared<Writer>();
    HttpRequest http;
    const int64_t before = num_failures;
    bool thrown = false;
    allocations_may_fail = true;
    allocations_until_failure = k;
    try {
      Generation::begin(&context, http, std::move(request), completion_format(), writer);
    } catch (const std::bad_alloc&) {
      thrown = true;  // before there was anything to forget; HTTP answers
    }
    allocations_until_failure = -1;
    allocations_may_fail = false;
    failed = num_failures > before;
    if (!thrown) {
      writer->run_until_sent();
      EXPECT_EQ(writer->num_sent, 1) << k;
      EXPECT_TRUE(writer->status == 200 || writer->status == 503) << k << ": " << writer->status;
      num_refused += writer->status == 503;
    }
    EXPECT_EQ(context.generations.size(), 0U) << k;
    if (HasFailure()) break;
  }
  set_log_level(LogLevel::kInfo);
  EXPECT_GT(num_refused, 5);
  EXPECT_TRUE(scripted.engine->drain(60));
}

// 4096 prompts of a byte, each with 4096 choices: nothing is made for a choice that the queue has no place
// for.
TEST(Generation, ChoicesTakeNoMemoryBeforeAdmission) {
  if (!can_allocations_fail()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  testing::ScriptedEngine scripted;
  scripted.start();
  RouteContext context{{}, scripted.intake.get(), scripted.engine.get(), &scripted.registry, {}};
  ParsedRequest request;
  request.generate.prompt = std::vector<TextPrompt>(4096, "a");
  request.shape.n = 4096;
  auto writer = std::make_shared<Writer>();
  const int64_t before = num_failures;
  smallest_failure = 1 << 20;
  allocations_may_fail = true;
  Generation::begin(&context, {}, std::move(request), completion_format(), writer);
  allocations_may_fail = false;
  smallest_failure = SIZE_MAX;
  EXPECT_EQ(num_failures, before);
  EXPECT_EQ(writer->status, 400);
  EXPECT_EQ(context.generations.size(), 0U);
}

}  // namespace
}  // namespace pagoda
