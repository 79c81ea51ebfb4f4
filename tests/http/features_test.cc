// CORS, request ids, the access log, Unix sockets, the client, and a full descriptor table.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "base/log.h"
#include "http/client.h"
#include "http/cors.h"
#include "http/server.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

// --- CORS ---

struct CorsCase {
  const char* name;
  CorsConfig config;
  std::string method, fields;
  int status;
  std::vector<std::string> has, has_not;
};

std::vector<CorsCase> cors_cases() {
  const CorsConfig open{{"*"}, {"*"}, {"*"}, false};
  const CorsConfig open_credentials{{"*"}, {"*"}, {"*"}, true};
  const CorsConfig strict{{"https://a.b"}, {"GET"}, {"X-One"}, false};
  const std::string origin = "Origin: https://a.b\r\n", other = "Origin: https://evil\r\n";
  const std::string preflight = origin + "Access-Control-Request-Method: POST\r\n";
  const std::string strict_preflight = origin + "Access-Control-Request-Method: GET\r\n";
  return {
      {"no Origin", open, "GET", "", 200, {}, {"access-control"}},
      {"none is allowed unless one says so", {}, "GET", origin, 200, {"hello"}, {"access-control"}},
      {"nor by preflight", {}, "OPTIONS", preflight, 400, {"Disallowed CORS origin"}, {"allow-origin"}},
      {"any origin", open, "GET", origin, 200, {"access-control-allow-origin: *\r\n"}, {"credentials"}},
      {"any origin, with a cookie",
       open,
       "GET",
       origin + "Cookie: a=b\r\n",
       200,
       {"access-control-allow-origin: https://a.b\r\n", "vary: Origin\r\n"},
       {}},
      {"any origin, credentials",
       open_credentials,
       "GET",
       origin,
       200,
       {"access-control-allow-origin: https://a.b\r\n", "access-control-allow-credentials: true\r\n"},
       {}},
      {"known origin", strict, "GET", origin, 200, {"access-control-allow-origin: https://a.b\r\n"}, {}},
      {"other origin", strict, "GET", other, 200, {"hello"}, {"access-control-allow-origin"}},
      {"an error too", open, "DELETE", origin, 405, {"access-control-allow-origin: *\r\n"}, {}},
      {"preflight",
       open,
       "OPTIONS",
       preflight + "Access-Control-Request-Headers: authorization, x-y\r\n",
       200,
       {"access-control-allow-origin: *\r\n", "POST", "access-control-allow-headers: authorization, x-y\r\n",
        "access-control-max-age: 600\r\n"},
       {}},
      {"preflight, credentials",
       open_credentials,
       "OPTIONS",
       preflight,
       200,
       {"access-control-allow-origin: https://a.b\r\n", "access-control-allow-credentials: true\r\n"},
       {}},
      {"preflight, wrong method", strict, "OPTIONS", preflight, 400, {"Disallowed CORS method"}, {}},
      {"preflight, wrong origin",
       strict,
       "OPTIONS",
       other + "Access-Control-Request-Method: GET\r\n",
       400,
       {"Disallowed CORS origin"},
       {"access-control-allow-origin"}},
      {"preflight, allowed header",
       strict,
       "OPTIONS",
       strict_preflight + "Access-Control-Request-Headers: x-one,accept\r\n",
       200,
       {"access-control-allow-headers: Accept, Accept-Language, Content-Language, Content-Type, X-One\r\n"},
       {}},
      {"preflight, wrong header",
       strict,
       "OPTIONS",
       strict_preflight + "Access-Control-Request-Headers: x-two\r\n",
       400,
       {"Disallowed CORS headers"},
       {}},
      {"OPTIONS without preflight", open, "OPTIONS", origin, 405, {"access-control-allow-origin: *\r\n"}, {}},
  };
}

TEST(Cors, AnswersAsBrowsersExpect) {
  for (const CorsCase& one : cors_cases()) {
    SCOPED_TRACE(one.name);
    HttpServerConfig config = local_config();
    config.cors = one.config;
    auto server = make_server(config);
    start(server.get());
    RawClient client(server->port());
    client.send(one.method + " / HTTP/1.1\r\nHost: a\r\n" + one.fields + "\r\n");
    std::string answer = client.read_answer();
    EXPECT_EQ(status_of(answer), one.status) << answer;
    for (const std::string& part : one.has)
      EXPECT_NE(answer.find(part), std::string::npos) << part << "\n" << answer;
    for (const std::string& part : one.has_not)
      EXPECT_EQ(answer.find(part), std::string::npos) << part << "\n" << answer;
  }
}

TEST(Cors, CommandsComeFromNoOtherPage) {
  const CorsConfig none, any{{"*"}, {}, {}, false}, one{{"https://a.b"}, {}, {}, false};
  const struct {
    const CorsConfig& config;
    std::string origin;
    bool may;
  } cases[] = {
      {none, "", true},
      {none, "https://a.b", false},
      {none, "null", false},
      {none, "http://host:8000", true},
      {none, "https://HOST:8000", true},
      {none, "http://host", false},
      {none, "http://evil/host:8000", false},
      {one, "https://a.b", true},
      {one, "https://a.b:1", false},
      {any, "https://evil", true},
  };
  for (const auto& c : cases) {
    HttpRequest request;
    request.headers = {{"Host", "host:8000"}};
    if (!c.origin.empty()) request.headers.emplace_back("Origin", c.origin);
    EXPECT_EQ(origin_may_command(c.config, request), c.may) << c.origin;
  }
}

// --- request ids and the access log ---

TEST(RequestId, IsEchoedOrMade) {
  HttpServerConfig config = local_config();
  config.request_id_header = true;
  auto server = make_server(config);
  start(server.get());
  RawClient client(server->port());
  auto id_of = [&](const std::string& fields) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
    std::string answer = client.read_answer();
    std::size_t at = answer.find("x-request-id: ");
    return at == std::string::npos ? "" : answer.substr(at + 14, answer.find('\r', at) - at - 14);
  };
  EXPECT_EQ(id_of("X-Request-Id: my-id\r\n"), "my-id");
  std::string made = id_of("");
  EXPECT_EQ(made.size(), 32u);
  EXPECT_NE(id_of(""), made);
  EXPECT_EQ(id_of("X-Request-Id: " + std::string(5000, 'x') + "\r\n").size(), 32u);
  EXPECT_EQ(id_of("X-Request-Id: caf\u00e9 \u6f22\r\n"), "caf\u00e9 \u6f22");
  for (const char* hidden : {"a\u009b31m", "a\u202eb", "a\u2028b", "a\u200bb", "\ufeffa",
                             "a\xff"
                             "b"})
    EXPECT_EQ(id_of(std::string("X-Request-Id: ") + hidden + "\r\n").size(), 32u) << hidden;
}

TEST(AccessLog, LooksLikeUvicornsAndLeavesOutWhatIsExcluded) {
  HttpServerConfig config = local_config();
  config.access_log = true;
  config.access_log_excluded_paths = {"/echo"};
  ::testing::internal::CaptureStderr();
  {
    auto server = make_server(config);
    start(server.get());
    RawClient client(server->port());
    client.send("GET /?key=secret&a=%0ab HTTP/1.1\r\nHost: a\r\n\r\n" + post_request("x") +
                "GET http://h/gone?key=secret HTTP/1.0\r\n\r\n");
    client.read_all();
  }
  flush_log(std::chrono::seconds(10));
  std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find(" - \"GET / HTTP/1.1\" 200 OK\n"), std::string::npos) << log;
  EXPECT_EQ(log.find("key=secret"), std::string::npos) << "the query does not belong in the log: " << log;
  EXPECT_NE(log.find(" - \"GET http://h/gone HTTP/1.0\" 404 Not Found\n"), std::string::npos) << log;
  EXPECT_NE(log.find("127.0.0.1:"), std::string::npos) << log;
  EXPECT_EQ(log.find("/echo"), std::string::npos) << log;
}

// --- Unix sockets ---

TEST(UnixSocket, ServesAndCleansUp) {
  char dir[] = "/tmp/http_uds_XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  HttpServerConfig config = local_config();
  config.uds = std::string(dir) + "/socket";
  struct stat info {};
  {
    auto server = make_server(config);
    Held held;
    server->on("GET", "/hold", held.handler());
    start(server.get());
    RawClient client(config.uds);
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    auto writer = held.take();
    EXPECT_EQ(held.request().remote_address, "unix");
    writer->send(text("over unix"));
    EXPECT_EQ(body_of(client.read_answer()), "over unix");

    ClientRequest request;
    request.url = "unix:" + config.uds + ":/";
    auto answer = http_request(request);
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_EQ(answer->body, "hello");

    HttpServer second(config);
    EXPECT_NE(second.bind().message().find("another server listens"), std::string::npos);
  }
  EXPECT_NE(::stat(config.uds.c_str(), &info), 0) << "the file goes with the server";

  {  // What a server that was killed leaves behind is no obstacle.
    int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, config.uds.c_str());
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ::close(fd);
    HttpServer after_crash(config);
    EXPECT_TRUE(after_crash.bind().ok());
  }
  std::ofstream(config.uds) << "precious";
  HttpServer over_a_file(config);
  EXPECT_NE(over_a_file.bind().message().find("another file"), std::string::npos);
  EXPECT_EQ(::stat(config.uds.c_str(), &info), 0);
  config.uds = std::string(200, 'x');
  HttpServer too_long(config);
  EXPECT_FALSE(too_long.bind().ok());
  std::string remove = std::string(dir) + "/socket";
  ::unlink(remove.c_str());
  ::rmdir(dir);
}

// --- the client ---

TEST(Client, AsksAndStreams) {
  auto server = make_server(local_config());
  Held held;
  server->on("GET", "/events", [](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
    writer->start_stream(200, "text/event-stream", {});
    writer->write("data: one\n\n");
    writer->write("data: two\n\n");
    writer->finish();
  });
  server->on("GET", "/hold", held.handler());
  start(server.get());
  const std::string base = "http://localhost:" + std::to_string(server->port());
  ClientRequest request;
  request.method = "POST";
  request.url = base + "/echo";
  request.body = std::string(1 << 20, 'z');
  auto answer = http_request(request);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->body, request.body);
  EXPECT_EQ(answer->content_type, "application/json");

  request = {};
  request.url = base + "/events";
  std::string events;
  answer = http_stream(request, [&](std::string_view piece) {
    events += piece;
    return true;
  });
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(events, "data: one\n\ndata: two\n\n");
  EXPECT_EQ(answer->body, "");

  request.url = base + "/gone";
  answer = http_stream(request, [&](std::string_view) { return false; });
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->status, 404);
  EXPECT_NE(answer->body.find("Not Found"), std::string::npos);

  request.method = "HEAD";
  request.url = base + "/";
  answer = http_request(request);
  ASSERT_TRUE(answer.ok()) << answer.status().message();
  EXPECT_EQ(answer->body, "");

  request.method = "GET";
  request.url = base + "/hold";
  request.timeout_s = 0.2;
  EXPECT_EQ(http_request(request).status().code(), StatusCode::kIo) << "a server that never answers";
}

TEST(Client, HangsUpWhenTold) {
  auto server = make_server(local_config());
  Held held;
  server->on("GET", "/hold", held.handler());
  start(server.get());
  std::atomic<bool> left{false};
  std::thread producer([&] {
    auto writer = held.take();
    writer->on_close([&] { left = true; });
    writer->start_stream(200, "text/plain", {});
    writer->write("first");
    eventually([&] { return left.load(); });
  });
  ClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(server->port()) + "/hold";
  auto answer = http_stream(request, [&](std::string_view piece) { return piece != "first"; });
  EXPECT_TRUE(answer.ok());
  producer.join();
  EXPECT_TRUE(left);
}

// A server that says what it is told to, once.
std::string scripted_answer(const std::string& bytes, std::string* error) {
  int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ::bind(listener, reinterpret_cast<sockaddr*>(&address), size);
  ::listen(listener, 1);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::thread server([&] {
    int fd = ::accept(listener, nullptr, nullptr);
    char buffer[4096];
    if (::recv(fd, buffer, sizeof(buffer), 0) > 0) ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    ::close(fd);
  });
  ClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  request.timeout_s = 5;
  auto answer = http_request(request);
  server.join();
  ::close(listener);
  *error = answer.ok() ? "" : answer.status().message();
  return answer.ok() ? std::to_string(answer->status) + " " + answer->body : "";
}

TEST(Client, BelievesOnlyWholeAnswers) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::pair<std::string, std::string> cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 abc"},
      {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "200 until the end"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx", "201 x"},
      {chunked + "3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n", "200 abcd"},
      {chunked + "3\r\nabc\r\n", ""},
      {chunked + "3\r\nabcd\r\n0\r\n\r\n", ""},
      {chunked + "zz\r\nabc\r\n0\r\n\r\n", ""},
      {chunked + "fffffffffffffffff\r\nabc", ""},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nabc", ""},
      {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", ""},
      {"HTTP/1.1 200 OK\r\nContent-Le", ""},
      {"SSH-2.0-OpenSSH\r\n", ""},
      {"", ""},
  };
  for (const auto& [bytes, expected] : cases) {
    std::string error;
    EXPECT_EQ(scripted_answer(bytes, &error), expected) << bytes;
    EXPECT_EQ(error.empty(), !expected.empty()) << bytes << ": " << error;
  }
}

TEST(Client, RefusesWrongUrls) {
  for (const char* url :
       {"", "localhost:8000", "ftp://a/", "http://", "http://:80/", "http://a:0/", "http://a:65536/",
        "http://a:1x/", "http://[::1/", "http://a b/", "http://u@a/", "unix:", "http://a/\r\nX: y"}) {
    ClientRequest request;
    request.url = url;
    EXPECT_EQ(http_request(request).status().code(), StatusCode::kInvalidArgument) << url;
  }
  ClientRequest request;
  for (const char* url : {"http://ann:secret@a/", "http://ann:secret@a b/", "ftp://sec@ret:secret@a"}) {
    request.url = url;
    const std::string error = http_request(request).status().message();
    EXPECT_NE(error.find("://...@a"), std::string::npos) << error;
    EXPECT_EQ(error.find("secret"), std::string::npos) << error;
  }
}

// --- a full descriptor table ---

TEST(Descriptors, RunningOutOfThemOnlyDelays) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan opens a pipe to judge an object's type, and reports a fault when there is no "
                  "descriptor for it";
#endif
  auto server = make_server(local_config());
  start(server.get());
  std::vector<std::unique_ptr<RawClient>> waiting;
  for (int i = 0; i < 4; ++i) waiting.push_back(std::make_unique<RawClient>(server->port()));
  ASSERT_TRUE(eventually([&] { return server->num_connections() == 4; }));
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  RawClient late(server->port());
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_TRUE(eventually([&] { return server->num_connections() == 5; }));
  int spare = ::socket(AF_INET, SOCK_STREAM, 0);
  ::setrlimit(RLIMIT_NOFILE, &none);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(server->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(spare, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0)
      << "the kernel still takes it";
  timespec used_before{}, used_after{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used_before);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used_after);
  double used = static_cast<double>(used_after.tv_sec - used_before.tv_sec) +
                1e-9 * static_cast<double>(used_after.tv_nsec - used_before.tv_nsec);
  EXPECT_LT(used, 0.1) << "seconds of CPU: it must not spin";
  EXPECT_EQ(server->num_connections(), 5);
  late.send(kGet);
  EXPECT_EQ(body_of(late.read_answer()), "hello") << "those that are in are served";
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(eventually([&] { return server->num_connections() == 6; }));
  ::close(spare);
}

TEST(Client, HangsUpOnASilentServerWhenItsOwnerHasEnough) {
  int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(silent, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(silent, 1), 0);
  ASSERT_EQ(::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ClientRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  request.timeout_s = 30;
  int asked = 0;
  request.go_on = [&] { return ++asked < 3; };
  EXPECT_EQ(http_request(request).status().code(), StatusCode::kIo);
  EXPECT_EQ(asked, 3);
  ::close(silent);
}

}  // namespace
}  // namespace pagoda
