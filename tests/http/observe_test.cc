// What the server tells of each exchange: for metrics.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

struct Observed {
  std::string method, route;
  int status;
  double seconds;
  uint64_t request_bytes, response_bytes;
};

struct Watched {
  explicit Watched(HttpServerConfig config = local_config()) : server(make_server(config)) {
    server->observe([this](const HttpExchangeStats& stats) {
      std::lock_guard lock(mutex);
      seen.push_back({stats.method, std::string(stats.route), stats.status, stats.seconds,
                      stats.request_bytes, stats.response_bytes});
    });
  }
  ~Watched() { server->stop(); }
  Observed at(std::size_t index) {
    EXPECT_TRUE(eventually([&] {
      std::lock_guard lock(mutex);
      return seen.size() > index;
    }));
    std::lock_guard lock(mutex);
    return index < seen.size() ? seen[index] : Observed{};
  }
  std::unique_ptr<HttpServer> server;
  std::mutex mutex;
  std::vector<Observed> seen;
};

TEST(Observe, TellsOfEachExchangeOnce) {
  Watched watched;
  watched.server->on("GET", "/tree/*", [](HttpRequest, Writer writer) { writer->send(text("leaf")); });
  watched.server->on("GET", "/stream", [](HttpRequest, Writer writer) {
    writer->start_stream(201, "text/plain", {});
    for (int i = 0; i < 10; ++i) writer->write("piece");
    writer->finish();
  });
  start(watched.server.get());
  RawClient client(watched.server->port());
  struct Case {
    const char *request, *method, *route;
    int status;
    uint64_t request_bytes;
  };
  const std::vector<Case> cases = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", 200, 0},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde", "POST", "/echo", 200, 5},
      {"GET /tree/a/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/tree/*", 200, 0},
      {"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "", 404, 0},
      {"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "PUT", "/echo", 405, 0},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    client.send(cases[i].request);
    const std::string answer = client.read_answer();
    const Observed seen = watched.at(i);
    EXPECT_EQ(seen.method, cases[i].method);
    EXPECT_EQ(seen.route, cases[i].route);
    EXPECT_EQ(seen.status, cases[i].status);
    EXPECT_EQ(seen.request_bytes, cases[i].request_bytes);
    EXPECT_EQ(seen.response_bytes, answer.size());
    EXPECT_GE(seen.seconds, 0);
  }
  client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string answer = client.read_until("0\r\n\r\n");
  const Observed stream = watched.at(cases.size());
  EXPECT_EQ(stream.route, "/stream");
  EXPECT_EQ(stream.status, 201);
  EXPECT_EQ(stream.response_bytes, answer.size());
  std::lock_guard lock(watched.mutex);
  EXPECT_EQ(watched.seen.size(), cases.size() + 1);
}

TEST(Observe, TellsOfRequestsThatCouldNotBeRead) {
  Watched watched;
  start(watched.server.get());
  RawClient client(watched.server->port());
  client.send("NONSENSE\r\n\r\n");
  (void)client.read_all();
  const Observed seen = watched.at(0);
  EXPECT_EQ(seen.method, "");
  EXPECT_EQ(seen.route, "");
  EXPECT_EQ(seen.status, 400);
}

TEST(Observe, TellsOfClientsThatLeave) {
  Watched watched;
  Held held;
  watched.server->on("GET", "/hold", held.handler());
  start(watched.server.get());
  {
    RawClient client(watched.server->port());
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    const Writer writer = held.take();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    client.close();
    const Observed seen = watched.at(0);
    EXPECT_EQ(seen.route, "/hold");
    EXPECT_EQ(seen.status, 499);
    EXPECT_GE(seen.seconds, 0.02);
  }
  RawClient client(watched.server->port());
  client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  const Writer writer = held.take();
  writer->start_stream(200, "text/plain", {});
  writer->write("begun");
  client.read_until("begun");
  client.close();
  EXPECT_EQ(watched.at(1).status, 200) << "its answer had begun";
}

TEST(Observe, IdleConnectionsAreNoExchanges) {
  Watched watched;
  start(watched.server.get());
  { RawClient client(watched.server->port()); }
  RawClient client(watched.server->port());
  client.send(kGet);
  client.read_answer();
  EXPECT_EQ(watched.at(0).route, "/");
  client.close();
  EXPECT_TRUE(eventually([&] { return watched.server->num_connections() == 0; }));
  std::lock_guard lock(watched.mutex);
  EXPECT_EQ(watched.seen.size(), 1u);
}

}  // namespace
}  // namespace pagoda
