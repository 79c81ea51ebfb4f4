// Streamed answers: from many threads, to both versions of HTTP, cut short.
#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "http/client.h"
#include "http/server.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

std::string dechunk(std::string_view body) {
  std::string out;
  for (;;) {
    std::size_t end = body.find("\r\n");
    if (end == std::string_view::npos) return out + "<cut>";
    std::size_t size = std::stoul(std::string(body.substr(0, end)), nullptr, 16);
    if (size == 0) return body.substr(end) == "\r\n\r\n" ? out : out + "<rest>";
    out += body.substr(end + 2, size);
    if (body.substr(end + 2 + size, 2) != "\r\n") return out + "<broken>";
    body.remove_prefix(end + size + 4);
  }
}

TEST(Stream, ReachesBothVersionsWhole) {
  auto server = make_server(local_config());
  server->on("GET", "/stream", [](HttpRequest, Writer writer) {
    writer->start_stream(200, "text/event-stream", {{"cache-control", "no-cache"}});
    writer->write("one,");
    writer->write("");
    writer->write("two");
    writer->finish();
    writer->write("late");
  });
  start(server.get());
  RawClient client(server->port());
  client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  std::string head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("transfer-encoding: chunked\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("cache-control: no-cache\r\n"), std::string::npos) << head;
  EXPECT_EQ(dechunk(client.read_until("0\r\n\r\n")), "one,two");
  client.send("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(client.read_until("\r\n\r\n")), 200);
  client.send(kGet);
  EXPECT_EQ(body_of(client.read_answer()), "hello") << "the stream to HEAD has no body";

  RawClient old(server->port());
  old.send("GET /stream HTTP/1.0\r\n\r\n");
  std::string all = old.read_all();
  EXPECT_TRUE(old.eof());
  EXPECT_EQ(all.find("chunked"), std::string::npos);
  EXPECT_EQ(body_of(all), "one,two") << "its end is the connection's";
}

TEST(Stream, ShowsThatItIsAliveWhileItIsSilent) {
  HttpServerConfig config = local_config();
  config.sse_keep_alive_s = 0.05;
  auto server = make_server(config);
  Held held;
  server->on("GET", "/hold", held.handler());
  start(server.get());
  const std::string comment = ": keep-alive\n\n", chunk = "e\r\n" + comment + "\r\n";
  for (const char* version : {"1.1", "1.0"}) {
    SCOPED_TRACE(version);
    const bool chunks = version == std::string("1.1");
    RawClient client(server->port());
    client.send("GET /hold HTTP/" + std::string(version) + "\r\nHost: a\r\n\r\n");
    Writer writer = held.take();
    EXPECT_EQ(client.read_until("x", 120), "") << "not before the answer has begun";
    writer->start_stream(200, "text/event-stream; charset=utf-8", {});
    EXPECT_EQ(status_of(client.read_until("\r\n\r\n")), 200);
    for (int i = 0; i < 2; ++i)
      EXPECT_EQ(client.read_until(chunks ? chunk : comment), chunks ? chunk : comment);
    writer->write("data: x\n\n");
    EXPECT_NE(client.read_until("data: x\n\n"), "");
    EXPECT_NE(client.read_until(comment).find(comment), std::string::npos) << "and again";
    writer->finish();
    std::string rest = client.read_until("0\r\n\r\n", chunks ? 10000 : 200);
    EXPECT_EQ(client.read_until("x", 120), "") << "not after its end: " << rest;
  }
  RawClient client(server->port());
  client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  Writer writer = held.take();
  writer->start_stream(200, "text/plain", {});
  client.read_until("\r\n\r\n");
  EXPECT_EQ(client.read_until("x", 120), "") << "other streams have no comments";
  writer->finish();
}

TEST(Stream, SixtyFourAtOnceFromOtherThreads) {
  constexpr int kClients = 64, kPieces = 50, kProducers = 4;
  HttpServerConfig config = local_config();
  config.num_threads = 3;
  auto server = make_server(config);
  std::mutex mutex;
  std::vector<Writer> writers;
  server->on("GET", "/stream", [&](HttpRequest request, Writer writer) {
    writer->start_stream(200, "text/plain", {{"x-query", request.query}});
    std::lock_guard lock(mutex);
    writers.push_back(std::move(writer));
  });
  start(server.get());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    clients.back()->send("GET /stream?" + std::to_string(i) +
                         " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  }
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(mutex);
    return writers.size() == kClients;
  }));
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; ++p)
    producers.emplace_back([&, p] {
      for (int piece = 0; piece < kPieces; ++piece)
        for (int i = p; i < kClients; i += kProducers) writers[i]->write(std::to_string(piece) + ",");
      for (int i = p; i < kClients; i += kProducers) writers[i]->finish();
    });
  for (std::thread& producer : producers) producer.join();
  std::string expected;
  for (int piece = 0; piece < kPieces; ++piece) expected += std::to_string(piece) + ",";
  for (int i = 0; i < kClients; ++i) {
    std::string all = clients[i]->read_all();
    EXPECT_NE(all.find("x-query: " + std::to_string(i) + "\r\n"), std::string::npos);
    EXPECT_EQ(dechunk(body_of(all)), expected);
  }
}

TEST(Stream, LeftUnfinishedIsSeenAsCut) {
  auto server = make_server(local_config());
  server->on("GET", "/stream", [](HttpRequest, Writer writer) {
    writer->start_stream(200, "text/plain", {});
    writer->write("some");
  });
  start(server.get());
  ClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(server->port()) + "/stream";
  auto answer = http_request(request);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.status().code(), StatusCode::kIo);
}

TEST(Stream, PostedTasksRunInOrderAndAlone) {
  HttpServerConfig config = local_config();
  config.num_threads = 2;
  auto server = make_server(config);
  Held held;
  server->on("GET", "/hold", held.handler());
  start(server.get());
  RawClient client(server->port());
  client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  Writer writer = held.take();
  std::vector<int> order;  // no lock: the tasks of one connection never overlap
  for (int i = 0; i < 100; ++i) writer->post([&order, i] { order.push_back(i); });
  writer->post([&] { writer->send(text(std::to_string(order.size()))); });
  EXPECT_EQ(body_of(client.read_answer()), "100");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

}  // namespace
}  // namespace pagoda
