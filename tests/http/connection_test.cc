// Keep-alive, pipelining, routing: what one connection does with the requests on it.
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "http/server.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

TEST(Connection, KeepsAliveAndAnswersInOrder) {
  auto server = make_server(local_config());
  Held held;
  server->on("GET", "/slow", held.handler());
  start(server.get());
  RawClient client(server->port());
  client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + post_request("one") + post_request("two") + kGet +
              "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  Writer slow = held.take();
  EXPECT_EQ(client.read_until("\r\n\r\n", 50), "") << "the requests behind a slow one wait";
  slow->send(text("slow"));
  EXPECT_EQ(body_of(client.read_answer()), "slow");
  EXPECT_EQ(body_of(client.read_answer()), "one");
  EXPECT_EQ(body_of(client.read_answer()), "two");
  EXPECT_EQ(body_of(client.read_answer()), "hello");
  std::string head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("content-length: 5"), std::string::npos) << "HEAD has GET's headers";
  client.send(kGet);
  EXPECT_EQ(body_of(client.read_answer()), "hello") << "and no body";
}

TEST(Connection, AThousandPipelinedRequestsAreAllAnswered) {
  auto server = make_server(local_config());
  start(server.get());
  RawClient client(server->port());
  std::string all;
  for (int i = 0; i < 1000; ++i) all += post_request(std::to_string(i));
  std::thread sender([&] { client.send(all); });
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(body_of(client.read_answer()), std::to_string(i));
  sender.join();
}

TEST(Connection, RequestsArriveWhole) {
  HttpServerConfig config = local_config();
  config.root_path = "/api/";
  auto server = make_server(config);
  Held held;
  server->on("PUT", "/v1/a b", held.handler());
  start(server.get());
  RawClient client(server->port());
  client.send(
      "PUT /api/v1/a%20b?x=%41&y HTTP/1.1\r\nhOST: h:1\r\nX-A:  spaced \t\r\nX-A: "
      "second\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6\r\n world\r\n0\r\nX-T: t\r\n\r\n");
  Writer writer = held.take();
  HttpRequest request = held.request();
  EXPECT_EQ(request.method, "PUT");
  EXPECT_EQ(request.target, "/api/v1/a%20b?x=%41&y");
  EXPECT_EQ(request.path, "/v1/a b");
  EXPECT_EQ(request.query, "x=%41&y");
  EXPECT_EQ(request.body, "hello world");
  EXPECT_EQ(request.header("x-a"), "spaced");
  EXPECT_EQ(request.header("HOST"), "h:1");
  EXPECT_EQ(request.header("x-t"), std::nullopt) << "a trailer is no header";
  EXPECT_EQ(request.remote_address.compare(0, 10, "127.0.0.1:"), 0);
  writer->send(text("x", 204));
  std::string answer = client.read_until("\r\n\r\n");
  EXPECT_EQ(status_of(answer), 204);
  EXPECT_EQ(answer.find("content-length"), std::string::npos);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(body_of(client.read_answer()), "hello")
      << "outside of root_path too, as behind a stripping proxy";
}

TEST(Connection, AsksForABodyThatWaitsToBeAskedFor) {
  auto server = make_server(local_config());
  start(server.get());
  RawClient client(server->port());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_EQ(body_of(client.read_answer()), "abc");
}

TEST(Connection, RoutesFiltersAndFailures) {
  auto server = make_server(local_config());
  server->on("GET", "/throws", [](HttpRequest, Writer) { throw std::runtime_error("secret"); });
  server->on("GET", "/drops", [](HttpRequest, Writer) {});
  server->on("GET", "/splits", [](HttpRequest, Writer writer) {
    HttpResponse response = text("x");
    response.headers = {{"X-Bad", "a\r\nX-Evil: b"}, {"Content-Length", "99"}, {"X-Good", "c"}};
    writer->send(std::move(response));
    writer->send(text("twice"));
  });
  server->before([](const HttpRequest& request) -> std::optional<HttpResponse> {
    if (request.header("x-key") == "wrong") return text("no", 401);
    return std::nullopt;
  });
  start(server.get());
  RawClient client(server->port());
  auto ask = [&](const std::string& line, const std::string& fields = "") {
    client.send(line + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
    return client.read_answer();
  };
  EXPECT_EQ(status_of(ask("GET /nowhere")), 404);
  EXPECT_EQ(status_of(ask("DELETE /echo/")), 405);
  for (const char* path : {"/", "//", "/?x"}) EXPECT_EQ(body_of(ask(std::string("GET ") + path)), "hello");
  for (const char* path : {"/echo/", "/echo//", "/echo/?x=/"})
    EXPECT_EQ(status_of(ask(std::string("POST ") + path)), 200)
        << path << ": slashes at its end do not count";
  std::string wrong_method = ask("DELETE /");
  EXPECT_EQ(status_of(wrong_method), 405);
  EXPECT_NE(wrong_method.find("allow: GET, HEAD\r\n"), std::string::npos) << wrong_method;
  EXPECT_EQ(status_of(ask("GET /", "X-Key: wrong\r\n")), 401);
  std::string failed = ask("GET /throws");
  EXPECT_EQ(status_of(failed), 500);
  EXPECT_EQ(failed.find("secret"), std::string::npos);
  EXPECT_EQ(status_of(ask("GET /drops")), 500);
  std::string split = ask("GET /splits");
  EXPECT_EQ(split.find("Evil"), std::string::npos) << split;
  EXPECT_NE(split.find("X-Good: c\r\n"), std::string::npos) << split;
  EXPECT_EQ(body_of(split), "x");
  EXPECT_EQ(body_of(ask("GET /")), "hello");
}

}  // namespace
}  // namespace pagoda
