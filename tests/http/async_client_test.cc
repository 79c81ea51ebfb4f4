#include "http/async_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <vector>

#include "http/client.h"
#include "http/server.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;

AsyncClient::Request get(const std::string& target, std::function<void(Result<HttpResponse>)> on_done) {
  AsyncClient::Request request;
  request.target = target;
  request.timeout_s = 20;
  request.on_done = std::move(on_done);
  return request;
}

std::string url_of(const HttpServer& server) {
  return "http://127.0.0.1:" + std::to_string(server.port());
}

TEST(AsyncClient, ManyAtOnceAndInOrderOnKeptConnections) {
  auto server = make_server(local_config());
  server->on("GET", "/who",
             [](HttpRequest request, Writer writer) { writer->send(text(request.remote_address)); });
  start(server.get());
  auto client = AsyncClient::open(url_of(*server)).value();
  std::set<std::string> peers;
  int num_answers = 0;
  auto keep = [&](Result<HttpResponse> response) {
    ASSERT_TRUE(response.ok()) << response.status().message();
    peers.insert(response->body);
    ++num_answers;
  };
  for (int i = 0; i < 200; ++i) client->start(get("/who", keep));
  client->run();
  EXPECT_EQ(num_answers, 200);
  std::size_t at_once = peers.size();
  EXPECT_GT(at_once, 1u);
  for (int i = 0; i < 10; ++i) {
    client->start(get("/who", keep));
    client->run();
  }
  EXPECT_EQ(num_answers, 210);
  EXPECT_EQ(peers.size(), at_once) << "no new connection was made";
}

TEST(AsyncClient, StreamsAndHangsUp) {
  auto server = make_server(local_config());
  Held held;
  server->on("GET", "/stream", held.handler());
  start(server.get());
  auto client = AsyncClient::open(url_of(*server)).value();
  std::thread producer([&] {
    Writer writer = held.take();
    writer->start_stream(200, "text/plain", {});
    for (int i = 0; i < 100; ++i) writer->write("piece,");
    writer->finish();
  });
  std::string got;
  AsyncClient::Request request = get("/stream", [&](Result<HttpResponse> response) {
    ASSERT_TRUE(response.ok());
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "") << "on_data had it";
    EXPECT_EQ(response->content_type, "text/plain");
  });
  request.on_data = [&](std::string_view piece) {
    got += piece;
    return true;
  };
  client->start(std::move(request));
  client->run();
  producer.join();
  EXPECT_EQ(got.size(), 600u);

  request = get("/", [&](Result<HttpResponse> response) {
    ASSERT_FALSE(response.ok());
    EXPECT_THAT(response.status().message(), HasSubstr("given up"));
  });
  request.on_data = [](std::string_view) { return false; };
  client->start(std::move(request));
  client->run();
}

TEST(AsyncClient, ErrorsHaveTheirBodyAndPostsArrive) {
  auto server = make_server(local_config());
  server->on("POST", "/echo2", [](HttpRequest request, Writer writer) {
    writer->send(
        text(std::to_string(request.body.size()) + std::string(request.header("x-a").value_or("")), 418));
  });
  start(server.get());
  auto client = AsyncClient::open(url_of(*server)).value();
  AsyncClient::Request request = get("/echo2", [&](Result<HttpResponse> response) {
    ASSERT_TRUE(response.ok()) << response.status().message();
    EXPECT_EQ(response->status, 418);
    EXPECT_EQ(response->body, "3000000!");
  });
  request.method = "POST";
  request.body = std::string(3000000, 'x');
  request.headers = {{"X-A", "!"}};
  request.on_data = [](std::string_view) { return ADD_FAILURE() << "not a 2xx", true; };
  client->start(std::move(request));
  client->run();
}

TEST(AsyncClient, AConnectionThatTheServerClosedMeanwhileIsReplaced) {
  HttpServerConfig config = local_config();
  config.idle_timeout_s = 0.1;
  auto server = make_server(config);
  start(server.get());
  auto client = AsyncClient::open(url_of(*server)).value();
  int num_good = 0;
  auto count = [&](Result<HttpResponse> response) { num_good += response.ok() && response->status == 200; };
  client->start(get("/", count));
  client->run();
  ASSERT_TRUE(eventually([&] { return server->num_connections() == 0; }));
  client->start(get("/", count));
  client->run();
  EXPECT_EQ(num_good, 2);
}

// By both clients: of a value that ends a line another header would begin.
TEST(AsyncClient, HeadersEndWhereTheyEnd) {
  auto server = make_server(local_config());
  std::atomic<int> num_seen{0};
  server->on("GET", "/seen", [&](HttpRequest request, Writer writer) {
    ++num_seen;
    writer->send(text(std::string(request.header("x-a").value_or("")), 200));
  });
  start(server.get());
  const std::pair<HttpHeaders, const char*> cases[] = {
      {{{"X-A", "k\n"}}, "X-A"},
      {{{"X-A", "k\r\nX-B: 1"}}, "X-A"},
      {{{"X-A", std::string(1, '\0')}}, "X-A"},
      {{{"X-A", "\x7f"}}, "X-A"},
      {{{"X A", "k"}}, "name"},
      {{{"", "k"}}, "name"},
      {{{"X-A", "cl\xc3\xa9\t\xff"}}, ""},
  };
  for (const auto& [headers, words] : cases) {
    const int before = num_seen;
    ClientRequest request;
    request.url = url_of(*server) + "/seen";
    request.headers = headers;
    auto client = AsyncClient::open(url_of(*server)).value();
    Result<HttpResponse> async = Status(StatusCode::kInternal, "not told");
    AsyncClient::Request other =
        get("/seen", [&](Result<HttpResponse> response) { async = std::move(response); });
    other.headers = headers;
    client->start(std::move(other));
    client->run();
    for (const Result<HttpResponse>& answer : {http_request(request), async}) {
      ASSERT_EQ(answer.ok(), *words == 0) << words;
      if (answer.ok())
        EXPECT_EQ(answer->body, headers[0].second);
      else
        EXPECT_THAT(answer.status().message(), HasSubstr(words));
    }
    EXPECT_EQ(num_seen - before, *words == 0 ? 2 : 0);
  }
}

TEST(AsyncClient, TimeLimitRefusalAndNonsense) {
  auto server = make_server(local_config());
  Held held;
  server->on("GET", "/never", held.handler());
  start(server.get());
  auto client = AsyncClient::open(url_of(*server)).value();
  std::string late, refused;
  AsyncClient::Request request =
      get("/never", [&](Result<HttpResponse> response) { late = response.status().message(); });
  request.timeout_s = 0.05;
  client->start(std::move(request));
  client->run();
  EXPECT_THAT(late, HasSubstr("time limit"));
  auto nobody = AsyncClient::open("http://127.0.0.1:1").value();
  nobody->start(get("/", [&](Result<HttpResponse> response) { refused = response.status().message(); }));
  nobody->run();
  EXPECT_THAT(refused, HasSubstr("127.0.0.1:1: cannot connect"));
  EXPECT_FALSE(AsyncClient::open("gopher://a").ok());
}

TEST(AsyncClient, TasksRunAtTheirTimes) {
  auto client = AsyncClient::open("http://127.0.0.1:1").value();
  auto now = AsyncClient::Clock::now();
  std::vector<int> order;
  client->at(now + std::chrono::milliseconds(30), [&] {
    EXPECT_GE(AsyncClient::Clock::now(), now + std::chrono::milliseconds(30));
    order.push_back(2);
  });
  client->at(now + std::chrono::milliseconds(10), [&] { order.push_back(1); });
  client->run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

}  // namespace
}  // namespace pagoda
