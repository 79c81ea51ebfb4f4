// What is said to a client before anything is kept of what it sends: refusals on the head alone, the memory
// of all bodies together, and who gets a place when there are too many connections.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "http/body_budget.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

constexpr const char* kContinue = "Expect: 100-continue\r\n";

std::string head(const std::string& line, const std::string& fields) {
  return line + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
std::string length(std::size_t bytes) {
  return "Content-Length: " + std::to_string(bytes) + "\r\n";
}

// A server with a key, a route that judges, one that takes little, and one for probes.
std::unique_ptr<HttpServer> make_guarded(const HttpServerConfig& config) {
  auto server = make_server(config);
  auto echo = [](HttpRequest request, Writer writer) { writer->send(text(std::move(request.body))); };
  server->before([](const HttpRequest& request) -> std::optional<HttpResponse> {
    EXPECT_EQ(request.body, "") << "nothing is kept before it is judged";
    if (request.header("authorization") == "wrong") return text("no", 401);
    if (request.header("x-throw")) throw std::runtime_error("secret");
    return std::nullopt;
  });
  auto judge = [](const HttpRequest& request) -> std::optional<HttpResponse> {
    if (request.header("content-type") == "text/plain") return text("not that", 415);
    return std::nullopt;
  };
  server->on("POST", "/judged", echo, {.judge = judge});
  server->on("POST", "/little", echo, {.body_bytes_max = 10});
  server->on("GET", "/probe", echo, {.probe = true});
  start(server.get());
  return server;
}

TEST(EarlyRefusal, ComesOnTheHeadAlone) {
  auto server = make_guarded(local_config());
  const struct {
    const char* name;
    std::string head;
    int status;
  } cases[] = {
      {"key", head("POST /echo", "Authorization: wrong\r\n" + length(1000)), 401},
      {"key, asked to go on", head("POST /echo", "Authorization: wrong\r\n" + length(1000) + kContinue), 401},
      {"key, chunked", head("POST /echo", "Authorization: wrong\r\nTransfer-Encoding: chunked\r\n"), 401},
      {"no such route", head("POST /nowhere", length(1000)), 404},
      {"no such method", head("DELETE /echo", length(1000)), 405},
      {"judge", head("POST /judged", "Content-Type: text/plain\r\n" + length(1000)), 415},
      {"too large", head("POST /echo", length(65u << 20)), 413},
      {"too large, asked to go on", head("POST /echo", length(65u << 20) + kContinue), 413},
      {"too large for the route", head("POST /little", length(11) + kContinue), 413},
      {"a body where none has a meaning", head("GET /", length(60u << 20)), 413},
      {"a filter that fails", head("POST /echo", "X-Throw: 1\r\n" + length(1000)), 500},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    RawClient client(server->port());
    client.send(one.head);
    std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), one.status) << answer;
    EXPECT_NE(answer.find("connection: close\r\n"), std::string::npos) << answer;
    client.send(std::string(1000, 'x'));
    EXPECT_EQ(client.read_all(), "") << "what follows is not read as a request";
  }
}

TEST(EarlyRefusal, LetsGoodRequestsPass) {
  auto server = make_guarded(local_config());
  RawClient client(server->port());
  auto ask = [&](const std::string& head, const std::string& body) {
    client.send(head);
    if (head.find(kContinue) != std::string::npos) {
      EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    }
    client.send(body);
    return body_of(client.read_answer());
  };
  EXPECT_EQ(ask(head("POST /judged", length(3) + kContinue), "abc"), "abc");
  EXPECT_EQ(ask(head("POST /little", length(10)), "0123456789"), "0123456789");
  EXPECT_EQ(ask(head("POST /little", "Transfer-Encoding: chunked\r\n"), "3\r\nabc\r\n0\r\n\r\n"), "abc");
  client.send(head("POST /judged", "Content-Type: text/plain\r\n"));
  EXPECT_EQ(status_of(client.read_answer()), 415) << "without a body the connection goes on";
  EXPECT_EQ(ask(head("GET /", length(3)), "abc"), "hello");
  client.send(head("POST /little", "Transfer-Encoding: chunked\r\n") + "b\r\n");
  EXPECT_EQ(status_of(client.read_answer()), 413);
}

TEST(BodyMemory, IsBoundedOverAllConnections) {
  HttpServerConfig config = local_config();
  config.body_memory_max = 1 << 20;
  auto server = make_server(config);
  Held held;
  server->on("POST", "/hold", held.handler());
  std::atomic<int> bursts{0};
  server->on_burst_over([&] { ++bursts; });
  start(server.get());
  const std::string most(900 * 1024, 'x');
  RawClient large(server->port()), second(server->port()), small(server->port());
  large.send(head("POST /hold", length(most.size())) + most);
  Writer writer = held.take();
  second.send(head("POST /echo", length(most.size())) + most.substr(0, 300 * 1024));
  std::string answer = second.read_answer();
  EXPECT_EQ(status_of(answer), 503) << answer;
  EXPECT_NE(answer.find("retry-after: 1\r\n"), std::string::npos) << answer;
  small.send(head("POST /echo", length(1000)) + most.substr(0, 1000));
  EXPECT_EQ(body_of(small.read_answer()).size(), 1000u) << "the small ones go through";
  writer->send(text("done"));
  EXPECT_EQ(body_of(large.read_answer()), "done");
  held.forget();
  RawClient again(server->port());
  again.send(head("POST /echo", length(most.size())) + most);
  EXPECT_EQ(body_of(again.read_answer()).size(), most.size()) << "there is room again";
}

TEST(BodyMemory, TellsWhenABurstIsOver) {
  int bursts = 0;
  auto budget = std::make_shared<BodyBudget>();
  budget->configure(std::size_t{64} << 20, [&] { ++bursts; });
  {
    BodyShare small(budget), one(budget), two(budget);
    EXPECT_TRUE(small.grow_to(BodyBudget::kFreeBytes));
    EXPECT_EQ(budget->used(), 0u);
    EXPECT_TRUE(one.grow_to(40u << 20));
    EXPECT_FALSE(two.grow_to(40u << 20));
    EXPECT_TRUE(two.grow_to(24u << 20));
    EXPECT_EQ(budget->used(), 64u << 20);
  }
  EXPECT_EQ(budget->used(), 0u);
  EXPECT_EQ(bursts, 1);
  { BodyShare(budget).grow_to(1u << 20); }
  EXPECT_EQ(bursts, 1) << "a little is no burst";
}

class Crowded : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpServerConfig config = local_config();
    config.connections_max = 3;
    config.write_timeout_s = 1;
    server_ = make_guarded_with_hold(config);
  }
  std::unique_ptr<HttpServer> make_guarded_with_hold(const HttpServerConfig& config) {
    auto server = make_server(config);
    server->on("POST", "/hold", held_.handler());
    server->on("GET", "/probe", [](HttpRequest, Writer writer) { writer->send(text("up")); },
               {.probe = true});
    server->on("GET", "/long",
               [](HttpRequest, Writer writer) { writer->send(text(std::string(64u << 20, 'x'))); },
               {.probe = true});
    start(server.get());
    return server;
  }
  std::unique_ptr<RawClient> connect(const std::string& bytes = "") {
    const int before = server_->num_connections();
    auto client = std::make_unique<RawClient>(server_->port());
    if (before < 3) {
      EXPECT_TRUE(eventually([&] { return server_->num_connections() == before + 1; }));
    }
    client->send(bytes);
    return client;
  }

  Held held_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(Crowded, TheLongestIdleGivesItsPlace) {
  auto first = connect(), second = connect(), third = connect("GET / HT");
  first->send(kGet);
  EXPECT_EQ(body_of(first->read_answer()), "hello") << "it waits since now: later than the second";
  auto fourth = connect(kGet);
  EXPECT_EQ(body_of(fourth->read_answer()), "hello");
  EXPECT_EQ(second->read_all(), "");
  EXPECT_TRUE(second->eof());
  auto fifth = connect(kGet);
  EXPECT_EQ(body_of(fifth->read_answer()), "hello");
  EXPECT_EQ(third->read_all(), "") << "half a head is no reason to stay";
  first->send(kGet);
  EXPECT_EQ(body_of(first->read_answer()), "hello") << "it has stayed";
  EXPECT_EQ(server_->num_connections(), 3);
}

TEST_F(Crowded, ProbesAreAnsweredWhileAllOthersAreAtWork) {
  std::vector<std::unique_ptr<RawClient>> busy;
  std::vector<Writer> writers;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(connect(head("POST /hold", length(1)) + "x"));
    writers.push_back(held_.take());
  }
  auto other = connect(kGet);
  std::string refusal = other->read_all();
  EXPECT_EQ(status_of(refusal), 503) << refusal;
  EXPECT_NE(refusal.find("connection: close\r\n"), std::string::npos);
  EXPECT_NE(refusal.find("retry-after: 1\r\n"), std::string::npos);
  for (int i = 0; i < 3; ++i) {
    auto probe = connect("GET /probe HTTP/1.1\r\nHost: a\r\n\r\n");
    std::string answer = probe->read_all();
    EXPECT_EQ(body_of(answer), "up") << answer;
    EXPECT_NE(answer.find("connection: close\r\n"), std::string::npos) << "the place is for the next";
  }
  for (const Writer& writer : writers) writer->send(text("done"));
  for (const auto& client : busy) EXPECT_EQ(body_of(client->read_answer()), "done");
}

TEST_F(Crowded, NoNumberOfSilentOnesKeepsAProbeOut) {
  std::vector<std::unique_ptr<RawClient>> busy, silent;
  std::vector<Writer> writers;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(connect(head("POST /hold", length(1)) + "x"));
    writers.push_back(held_.take());
  }
  for (int i = 0; i < 200; ++i) silent.push_back(connect(i % 2 == 0 ? "" : "G"));
  auto probe = connect("GET /probe HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(body_of(probe->read_all()), "up");
  EXPECT_LE(server_->num_connections(), 3 + 64);
  for (const Writer& writer : writers) writer->send(text("done"));
}

TEST_F(Crowded, NoNumberOfBodiesThatNeverComeKeepsAProbeOut) {
  std::vector<std::unique_ptr<RawClient>> busy, owing;
  std::vector<Writer> writers;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(connect(head("POST /hold", length(1)) + "x"));
    writers.push_back(held_.take());
  }
  const std::string bodies[] = {length(1), length(1) + kContinue, "Transfer-Encoding: chunked\r\n"};
  for (int i = 0; i < 70; ++i) {
    owing.push_back(connect(head("GET /probe", bodies[i % 3])));
    std::string refusal = owing.back()->read_answer(2000);
    ASSERT_EQ(status_of(refusal), 503) << i << refusal;
  }
  auto probe = connect(head("GET /probe", length(0)));
  EXPECT_EQ(body_of(probe->read_all()), "up");
  for (const Writer& writer : writers) writer->send(text("done"));
}

TEST_F(Crowded, ASpareSeatIsNotHeldByTakingTheAnswerBitByBit) {
  std::vector<std::unique_ptr<RawClient>> busy;
  std::vector<Writer> writers;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(connect(head("POST /hold", length(1)) + "x"));
    writers.push_back(held_.take());
  }
  RawClient slow(server_->port(), 4096);
  slow.send(head("GET /long", ""));
  std::size_t taken = 0;
  EXPECT_TRUE(eventually([&] {
    taken += slow.read_piece(20).size();
    return taken > 0 && server_->num_connections() == 3;
  })) << taken;
  EXPECT_LT(taken, 64u << 20);
  for (const Writer& writer : writers) writer->send(text("done"));
}

}  // namespace
}  // namespace pagoda
