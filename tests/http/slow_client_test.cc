// Clients that leave in the middle, and clients that dawdle.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "http/server.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

// --- clients that leave ---

struct Leaving {
  const char* name;
  bool streaming, reset, pipelined;
};

TEST(Leaving, IsToldOnceAndSoon) {
  const Leaving cases[] = {{"before the answer", false, false, false},
                           {"before the answer, by reset", false, true, false},
                           {"in the stream", true, false, false},
                           {"in the stream, by reset", true, true, false},
                           {"with more requests sent", false, false, true}};
  for (const Leaving& one : cases) {
    SCOPED_TRACE(one.name);
    auto server = make_server(local_config());
    Held held;
    server->on("GET", "/hold", held.handler());
    start(server.get());
    auto client = std::make_unique<RawClient>(server->port());
    client->send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(one.pipelined ? kGet : ""));
    Writer writer = held.take();
    std::atomic<int> calls{0};
    writer->on_close([&] { ++calls; });
    if (one.streaming) {
      writer->start_stream(200, "text/plain", {});
      writer->write("piece");
      client->read_until("piece");
    }
    EXPECT_FALSE(writer->closed());
    EXPECT_EQ(calls, 0);
    if (one.reset) client->reset_on_close();
    auto left_at = std::chrono::steady_clock::now();
    client->close();
    EXPECT_TRUE(eventually([&] { return calls == 1; }));
    EXPECT_LT(std::chrono::steady_clock::now() - left_at, std::chrono::seconds(2));
    EXPECT_TRUE(writer->closed());
    std::atomic<int> late_calls{0}, posted{0};
    writer->on_close([&] { ++late_calls; });
    writer->post([&] { ++posted; });
    writer->write("ignored");
    writer->finish();
    writer->send(text("ignored"));
    EXPECT_TRUE(eventually([&] { return late_calls == 1 && posted == 1; }));
    EXPECT_TRUE(eventually([&] { return server->num_connections() == 0; }));
    server->stop();
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(late_calls, 1);
    std::atomic<bool> ran{false};
    writer->post([&] { ran = true; });
    EXPECT_FALSE(ran) << "nothing runs after stop()";
  }
}

TEST(Leaving, AfterTheAnswerIsNobodysBusiness) {
  auto server = make_server(local_config());
  std::atomic<int> calls{0};
  Writer kept;
  server->on("GET", "/done", [&](HttpRequest, Writer writer) {
    writer->on_close([&] { ++calls; });
    writer->send(text("done"));
    kept = writer;
  });
  start(server.get());
  auto client = std::make_unique<RawClient>(server->port());
  client->send("GET /done HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(body_of(client->read_answer()), "done");
  client->close();
  EXPECT_TRUE(eventually([&] { return server->num_connections() == 0; }));
  server->stop();
  EXPECT_EQ(calls, 0);
}

TEST(Leaving, AClientThatOnlyStopsSendingStillGetsAReadyAnswer) {
  auto server = make_server(local_config());
  start(server.get());
  RawClient client(server->port());
  client.send(kGet);
  client.half_close();
  EXPECT_EQ(body_of(client.read_all()), "hello");
}

// --- clients that dawdle ---

TEST(Slow, AByteNowAndThenIsCutOff) {
  HttpServerConfig config = local_config();
  config.header_timeout_s = 0.3;
  config.body_timeout_s = 0.3;
  auto server = make_server(config);
  start(server.get());
  std::string body = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";
  for (const std::string& at_once : {std::string("GE"), body, kGet + "GE"}) {
    RawClient client(server->port());
    client.send(at_once);
    auto began = std::chrono::steady_clock::now();
    if (at_once.size() > kGet.size() && at_once[0] == 'G') {
      EXPECT_EQ(body_of(client.read_answer()), "hello");
    }
    std::string answer;
    while (answer.empty() && std::chrono::steady_clock::now() - began < std::chrono::seconds(5)) {
      client.send("x");
      answer = client.read_until("\r\n\r\n", 50);
    }
    EXPECT_EQ(status_of(answer), 408) << at_once;
    client.read_all();
    EXPECT_TRUE(client.eof());
  }
}

TEST(Slow, SilenceIsClosedWithoutAWord) {
  HttpServerConfig config = local_config();
  config.header_timeout_s = 0.2;
  config.idle_timeout_s = 0.2;
  auto server = make_server(config);
  start(server.get());
  RawClient fresh(server->port()), idle(server->port());
  idle.send(kGet);
  EXPECT_EQ(body_of(idle.read_answer()), "hello");
  EXPECT_EQ(fresh.read_all() + idle.read_all(), "");
  EXPECT_TRUE(fresh.eof() && idle.eof());
}

TEST(Slow, NoIdleTimeIsAConnectionForEachRequest) {
  HttpServerConfig config = local_config();
  config.idle_timeout_s = 0;
  auto server = make_server(config);
  start(server.get());
  RawClient client(server->port());
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // its first request may take its time
  client.send(kGet);
  const std::string answer = client.read_all();
  EXPECT_EQ(body_of(answer), "hello");
  EXPECT_NE(answer.find("onnection: close"), std::string::npos) << answer;
  EXPECT_TRUE(client.eof());
}

// A stream that has begun, and its client, which has a small window.
struct BegunStream {
  explicit BegunStream(const HttpServerConfig& config) : server(make_server(config)) {
    server->on("GET", "/hold", held.handler());
    start(server.get());
    client.emplace(server->port(), 4096);
    client->send("GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    writer = held.take();
    writer->start_stream(200, "text/plain", {});
  }
  // How much of it the client reads until its end.
  std::ptrdiff_t count(char c) {
    const std::string answer = client->read_all(30000);
    return std::count(answer.begin(), answer.end(), c);
  }

  std::unique_ptr<HttpServer> server;
  Held held;
  std::optional<RawClient> client;
  Writer writer;
};

TEST(Slow, AReaderIsCutOffByTimeAndByBytes) {
  for (bool by_bytes : {false, true}) {
    SCOPED_TRACE(by_bytes);
    HttpServerConfig config = local_config();
    config.write_timeout_s = by_bytes ? 60 : 0.3;
    config.write_buffer_max = by_bytes ? 1u << 20 : 1u << 30;
    BegunStream stream(config);
    std::atomic<int> calls{0};
    stream.writer->on_close([&] { ++calls; });
    for (int i = 0; i < 256 && !stream.writer->closed(); ++i)
      stream.writer->write(std::string(64 * 1024, 'x'));
    EXPECT_TRUE(eventually([&] { return calls == 1; }, 5000));
    EXPECT_TRUE(stream.writer->closed());
    EXPECT_TRUE(eventually([&] { return stream.server->num_connections() == 0; }));
  }
}

// How large a piece is says nothing of the client.
TEST(Slow, ALargePieceOfAStreamArrives) {
  HttpServerConfig config = local_config();
  config.write_buffer_max = 1024;
  BegunStream stream(config);
  stream.writer->write(std::string(8u << 20, '#'));
  stream.writer->finish();
  EXPECT_EQ(stream.count('#'), 8 << 20);
}

TEST(Slow, AProducerThatWaitsIsToldWhenToGoOn) {
  HttpServerConfig config = local_config();
  config.write_buffer_max = 1u << 20;
  BegunStream stream(config);
  int64_t left = 32 << 20;
  std::atomic<int> waits{0};
  std::function<void()> produce = [&] {
    for (; left > 0; left -= 64 << 10) {
      if (!stream.writer->writable([&] { produce(); })) {
        ++waits;
        return;
      }
      stream.writer->write(std::string(64 << 10, '#'));
    }
    stream.writer->finish();
  };
  stream.writer->post([&] { produce(); });
  EXPECT_TRUE(eventually([&] { return waits > 0; }));
  EXPECT_EQ(stream.count('#'), 32 << 20);
  EXPECT_GT(waits, 1);
}

TEST(Slow, AReaderThatKeepsReadingGetsALargeAnswer) {
  HttpServerConfig config = local_config();
  config.write_timeout_s = 0.5;
  config.write_buffer_max = 1024;  // a bound for streams only
  auto server = make_server(config);
  std::string large(8u << 20, 'x');
  server->on("GET", "/large", [&](HttpRequest, Writer writer) { writer->send(text(large)); });
  start(server.get());
  RawClient client(server->port(), 32 * 1024);
  client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(body_of(client.read_answer()).size(), large.size());
}

}  // namespace
}  // namespace pagoda
