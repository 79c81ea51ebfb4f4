// Without memory a client may lose its connection; the server, its seats and its descriptors stay whole.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <new>
#include <string>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "http/listener.h"
#include "tests/http/raw_client.h"
#include "tests/testing/failing_new.h"

namespace pagoda {
namespace {

class OutOfMemory : public ::testing::Test {
 protected:
  void SetUp() override { set_log_level(LogLevel::kOff); }
  void TearDown() override {
    allocations_may_fail = false;
    allocations_until_failure = -1;
    set_log_level(LogLevel::kInfo);
  }
};

TEST_F(OutOfMemory, WhereverAcceptingFailsTheNextOneIsAccepted) {
  if (!can_allocations_fail()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  HttpServerConfig config = local_config();
  config.num_threads = 1;  // which accepts, and whose allocations fail
  config.header_timeout_s = 0.2;
  auto server = make_server(config);
  std::atomic<int64_t> countdown{0};
  Held held;
  server->on("GET", "/arm", [&, hold = held.handler()](HttpRequest request, Writer writer) {
    hold(std::move(request), std::move(writer));
    allocations_until_failure = countdown;
    allocations_may_fail = true;
  });
  start(server.get());
  const int before = count_descriptors();
  bool has_failed = true;
  for (countdown = 0; has_failed && countdown < 200; ++countdown) {
    SCOPED_TRACE(countdown.load());
    ASSERT_TRUE(keep_memory_reserve(1 << 20));
    const int64_t failures = num_failures;
    RawClient arming(server->port());
    arming.send("GET /arm HTTP/1.1\r\nHost: a\r\n\r\n");
    Writer writer = held.take();
    ASSERT_TRUE(eventually([&] { return allocations_may_fail.load(); }));
    RawClient unlucky(server->port());
    unlucky.send(kGet);
    const std::string answer = unlucky.read_answer();
    EXPECT_TRUE(unlucky.eof() || status_of(answer) != 0) << "no client waits for ever";
    allocations_may_fail = false;
    has_failed = num_failures > failures;
    writer->send(text("armed"));
    EXPECT_EQ(body_of(arming.read_answer()), "armed");
    RawClient next(server->port());
    next.send(kGet);
    ASSERT_EQ(body_of(next.read_answer()), "hello");
  }
  EXPECT_FALSE(has_failed) << "no request of more than 200 allocations";
  EXPECT_GT(countdown, 5);
  EXPECT_TRUE(eventually([&] { return server->num_connections() == 0; }));
  EXPECT_TRUE(eventually([&] { return count_descriptors() == before; }));
}

TEST_F(OutOfMemory, AStreamThatIsLetGoIsCut) {
  if (!can_allocations_fail()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  auto server = make_server(local_config());
  Held held;
  server->on("GET", "/stream", held.handler());
  start(server.get());
  ASSERT_TRUE(keep_memory_reserve(1 << 20));
  RawClient client(server->port());
  client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  Writer writer = held.take();
  writer->start_stream(200, "text/event-stream", {});
  EXPECT_EQ(status_of(client.read_until("\r\n\r\n")), 200);
  const int64_t failures = num_failures;
  allocations_until_failure = 0;
  allocations_may_fail = true;
  writer.reset();
  allocations_may_fail = false;
  EXPECT_GT(num_failures, failures);
  client.read_all();
  EXPECT_TRUE(client.eof());
}

TEST_F(OutOfMemory, AListenerGoesOnWhateverItsOwnerThrows) {
  boost::asio::io_context context(1);
  Listener listener;
  HttpServerConfig config = local_config();
  ASSERT_TRUE(listener.bind(config).ok());
  ASSERT_TRUE(listener.listen().ok());
  int num_calls = 0;
  listener.start(context, [&](int fd, int, const std::string&) {
    ::close(fd);
    ++num_calls;
    throw std::bad_alloc();
  });
  for (int i = 1; i <= 3; ++i) {
    RawClient client(listener.port());
    EXPECT_TRUE(eventually([&] {
      context.poll();
      return num_calls == i;
    }));
  }
}

}  // namespace
}  // namespace pagoda
