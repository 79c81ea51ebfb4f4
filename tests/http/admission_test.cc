// What is said to a client before anything is kept of what it sends: refusals on the head alone, and the
// memory of all bodies together.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

// A server with a key, a route that checks, one that takes little, and one for probes.
std::unique_ptr<HttpServer> make_guarded(const HttpServerConfig& config) {
  auto server = make_server(config);
  auto echo = [](HttpRequest request, Writer writer) { writer->send(text(std::move(request.body))); };
  server->before([](const HttpRequest& request) -> std::optional<HttpResponse> {
    EXPECT_EQ(request.body, "") << "nothing is kept before it is checked";
    if (request.header("authorization") == "wrong") return text("no", 401);
    if (request.header("x-throw")) throw std::runtime_error("secret");
    return std::nullopt;
  });
  auto check = [](const HttpRequest& request) -> std::optional<HttpResponse> {
    if (request.header("content-type") == "text/plain") return text("not that", 415);
    return std::nullopt;
  };
  server->on("POST", "/checked", echo, {.check = check});
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
      {"key", request_head("POST /echo", "Authorization: wrong\r\n" + content_length(1000)), 401},
      {"key, asked to go on",
       request_head("POST /echo", "Authorization: wrong\r\n" + content_length(1000) + kExpectContinue), 401},
      {"key, chunked", request_head("POST /echo", "Authorization: wrong\r\nTransfer-Encoding: chunked\r\n"),
       401},
      {"no such route", request_head("POST /nowhere", content_length(1000)), 404},
      {"no such method", request_head("DELETE /echo", content_length(1000)), 405},
      {"check", request_head("POST /checked", "Content-Type: text/plain\r\n" + content_length(1000)), 415},
      {"too large", request_head("POST /echo", content_length(65u << 20)), 413},
      {"too large, asked to go on", request_head("POST /echo", content_length(65u << 20) + kExpectContinue),
       413},
      {"too large for the route", request_head("POST /little", content_length(11) + kExpectContinue), 413},
      {"a body where none has a meaning", request_head("GET /", content_length(60u << 20)), 413},
      {"a filter that fails", request_head("POST /echo", "X-Throw: 1\r\n" + content_length(1000)), 500},
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
    if (head.find(kExpectContinue) != std::string::npos) {
      EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    }
    client.send(body);
    return body_of(client.read_answer());
  };
  EXPECT_EQ(ask(request_head("POST /checked", content_length(3) + kExpectContinue), "abc"), "abc");
  EXPECT_EQ(ask(request_head("POST /little", content_length(10)), "0123456789"), "0123456789");
  EXPECT_EQ(ask(request_head("POST /little", "Transfer-Encoding: chunked\r\n"), "3\r\nabc\r\n0\r\n\r\n"),
            "abc");
  client.send(request_head("POST /checked", "Content-Type: text/plain\r\n"));
  EXPECT_EQ(status_of(client.read_answer()), 415) << "without a body the connection goes on";
  EXPECT_EQ(ask(request_head("GET /", content_length(3)), "abc"), "hello");
  client.send(request_head("POST /little", "Transfer-Encoding: chunked\r\n") + "b\r\n");
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
  large.send(request_head("POST /hold", content_length(most.size())) + most);
  Writer writer = held.take();
  second.send(request_head("POST /echo", content_length(most.size())) + most.substr(0, 300 * 1024));
  std::string answer = second.read_answer();
  EXPECT_EQ(status_of(answer), 503) << answer;
  EXPECT_NE(answer.find("retry-after: 1\r\n"), std::string::npos) << answer;
  small.send(request_head("POST /echo", content_length(1000)) + most.substr(0, 1000));
  EXPECT_EQ(body_of(small.read_answer()).size(), 1000u) << "the small ones go through";
  writer->send(text("done"));
  EXPECT_EQ(body_of(large.read_answer()), "done");
  held.forget();
  RawClient again(server->port());
  again.send(request_head("POST /echo", content_length(most.size())) + most);
  EXPECT_EQ(body_of(again.read_answer()).size(), most.size()) << "there is room again";
}

TEST(BodyMemory, WhatNeverFitsIsTooLarge) {
  HttpServerConfig config = local_config();
  config.body_memory_max = 1 << 20;
  auto server = make_server(config);
  start(server.get());
  RawClient client(server->port());
  const std::string most(2 << 20, 'x');
  client.send(request_head("POST /echo", content_length(most.size())) + most.substr(0, 1100 * 1024));
  EXPECT_EQ(status_of(client.read_answer()), 413);
}

}  // namespace
}  // namespace pagoda
