// Who gets a place when there are too many connections.
#include "http/places.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

class Crowded : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.connections_max = 3;
    config_.write_grace_s = 0.05;
    serve();
  }
  void serve() {
    server_ = make_server(config_);
    server_->tenant([](const HttpRequest& request) -> std::uint64_t {
      return std::hash<std::string_view>()(request.header("x-tenant").value_or(""));
    });
    server_->on("POST", "/hold", held_.handler());
    server_->on("GET", "/probe", [](HttpRequest, Writer writer) { writer->send(text("up")); },
                {.probe = true});
    server_->on("GET", "/held-probe", held_.handler(), {.probe = true});
    server_->on("GET", "/some",
                [](HttpRequest, Writer writer) { writer->send(text(std::string(256u << 10, 'x'))); });
    server_->on("GET", "/long",
                [](HttpRequest, Writer writer) { writer->send(text(std::string(64u << 20, 'x'))); },
                {.probe = true});
    start(server_.get());
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

  // One who owes a body: the server has seen the head, as its answer tells.
  std::unique_ptr<RawClient> owe(const std::string& fields = "") {
    auto client = connect(request_head("POST /echo", fields + content_length(2) + kExpectContinue));
    EXPECT_EQ(client->read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    return client;
  }
  // Who comes anew gets its answer, long before any time is over.
  bool newcomer_is_served() {
    return eventually(
        [&] {
          RawClient newcomer(server_->port());
          newcomer.send(kGet);
          return body_of(newcomer.read_answer()) == "hello";
        },
        5000);
  }

  HttpServerConfig config_ = local_config();
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
    busy.push_back(connect(request_head("POST /hold", content_length(1)) + "x"));
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
    busy.push_back(connect(request_head("POST /hold", content_length(1)) + "x"));
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
    busy.push_back(connect(request_head("POST /hold", content_length(1)) + "x"));
    writers.push_back(held_.take());
  }
  const std::string bodies[] = {content_length(1), content_length(1) + kExpectContinue,
                                "Transfer-Encoding: chunked\r\n"};
  for (int i = 0; i < 70; ++i) {
    owing.push_back(connect(request_head("GET /probe", bodies[i % 3])));
    std::string refusal = owing.back()->read_answer(2000);
    ASSERT_EQ(status_of(refusal), 503) << i << refusal;
  }
  auto probe = connect(request_head("GET /probe", content_length(0)));
  EXPECT_EQ(body_of(probe->read_all()), "up");
  for (const Writer& writer : writers) writer->send(text("done"));
}

TEST_F(Crowded, ASpareSeatIsNotHeldByTakingTheAnswerBitByBit) {
  config_.write_timeout_s = 1;
  serve();
  std::vector<std::unique_ptr<RawClient>> busy;
  std::vector<Writer> writers;
  for (int i = 0; i < 3; ++i) {
    busy.push_back(connect(request_head("POST /hold", content_length(1)) + "x"));
    writers.push_back(held_.take());
  }
  RawClient slow(server_->port(), 4096);
  slow.send(request_head("GET /long", ""));
  std::size_t taken = 0;
  EXPECT_TRUE(eventually([&] {
    taken += slow.read_piece(20).size();
    return taken > 0 && server_->num_connections() == 3;
  })) << taken;
  EXPECT_LT(taken, 64u << 20);
  for (const Writer& writer : writers) writer->send(text("done"));
}

TEST_F(Crowded, WhoOwesTheRestOfARequestGivesItsPlace) {
  const std::string owed[] = {
      "POST /echo HTTP/1.1\r\nHo",
      request_head("POST /echo", content_length(10)),
      request_head("POST /echo", content_length(10)) + "x",
      request_head("POST /echo", content_length(10) + kExpectContinue),
      request_head("POST /echo", "Transfer-Encoding: chunked\r\n") + "5\r\nab",
      request_head("GET /probe", content_length(1)),
      request_head("GET /probe", "X-Tenant: a\r\n" + content_length(1)),
  };
  for (const std::string& bytes : owed) {
    SCOPED_TRACE(bytes);
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 5; ++i) clients.push_back(connect(bytes));
    EXPECT_TRUE(newcomer_is_served());
    clients.clear();
    EXPECT_TRUE(eventually([&] { return server_->num_connections() == 0; }));
  }
}

TEST_F(Crowded, WhoSendsSomethingWaitsAnew) {
  auto first = owe(), second = owe(), third = connect();
  first->send("o");
  third->send(kGet);
  EXPECT_EQ(body_of(third->read_answer()), "hello") << "what the first has sent has come by now";
  EXPECT_EQ(body_of(connect(kGet)->read_answer()), "hello");
  EXPECT_EQ(second->read_all(), "");
  EXPECT_TRUE(second->eof());
  first->send("k");
  EXPECT_EQ(body_of(first->read_answer()), "ok");
}

TEST_F(Crowded, TheTenantWithTheMostGivesFirst) {
  auto other = owe("X-Tenant: b\r\n"), first = owe("X-Tenant: a\r\n"), second = owe("X-Tenant: a\r\n");
  auto newcomer = connect(kGet);
  EXPECT_EQ(body_of(newcomer->read_answer()), "hello");
  EXPECT_EQ(first->read_all(), "");
  EXPECT_TRUE(first->eof()) << "the other waits longer, but is alone";
  for (RawClient* stays : {other.get(), second.get()}) {
    stays->send("ok");
    EXPECT_EQ(body_of(stays->read_answer()), "ok");
  }
}

TEST_F(Crowded, OneProbeAfterAnotherHoldsNoPlace) {
  for (const bool has_more : {false, true}) {
    SCOPED_TRACE(has_more);
    std::vector<std::unique_ptr<RawClient>> clients;
    std::vector<Writer> writers;
    for (int i = 0; i < 3; ++i) {
      clients.push_back(connect(request_head("GET /held-probe", "") + (has_more ? kGet : "")));
      writers.push_back(held_.take());
    }
    EXPECT_EQ(status_of(connect(kGet)->read_answer()), has_more ? 200 : 503);
    EXPECT_EQ(writers[0]->closed(), has_more) << "the longest wait";
    for (const Writer& writer : writers) writer->send(text("up"));
    for (std::size_t i = has_more ? 1 : 0; i < 3; ++i) EXPECT_EQ(body_of(clients[i]->read_answer()), "up");
    clients.clear();
    EXPECT_TRUE(eventually([&] { return server_->num_connections() == 0; }));
  }
}

TEST_F(Crowded, WhoDoesNotTakeItsAnswerGivesItsPlace) {
  std::string pipelined;
  for (int i = 0; i < 1000; ++i) pipelined += request_head("GET /some", "");
  for (const std::string& asked : {request_head("GET /long", ""), pipelined}) {
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 3; ++i) clients.push_back(connect(asked));
    EXPECT_TRUE(newcomer_is_served());
    clients.clear();
    EXPECT_TRUE(eventually([&] { return server_->num_connections() == 0; }));
  }
}

TEST_F(Crowded, AStreamThatIsNotTakenLastsWhileThereArePlaces) {
  RawClient slow(server_->port(), 4096);
  slow.send(request_head("POST /hold", content_length(1)) + "x");
  Writer writer = held_.take();
  std::atomic<bool> cut{false};
  writer->on_close([&] { cut = true; });
  writer->start_stream(200, "text/plain", {});
  for (int i = 0; i < 48; ++i) writer->write(std::string(64 * 1024, 'x'));
  std::size_t taken = 0;
  for (int i = 0; i < 20; ++i) {  // ten times as long as it may let others wait
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    taken += slow.read_piece().size();
  }
  EXPECT_LT(taken, 1u << 20);
  EXPECT_FALSE(cut);
  std::vector<std::unique_ptr<RawClient>> busy;
  std::vector<Writer> writers;
  for (int i = 0; i < 2; ++i) {
    busy.push_back(connect(request_head("POST /hold", content_length(1)) + "x"));
    writers.push_back(held_.take());
  }
  EXPECT_TRUE(newcomer_is_served());
  EXPECT_TRUE(eventually([&] { return cut.load(); }));
  for (const Writer& one : writers) one->send(text("done"));
  for (const auto& client : busy) EXPECT_EQ(body_of(client->read_answer()), "done");
}

}  // namespace
}  // namespace pagoda
