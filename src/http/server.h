// The http room: the only one that knows Asio and TLS. HTTP/1.1 with keep-alive over TCP, TLS or a
// Unix socket; routes see HttpRequest and ResponseWriter. It checks framing (RFC 9112), limits and time-outs,
// CORS and routing by path; it knows nothing of JSON, keys or models. Threads: num_threads I/O threads run
// everything, one connection's work never overlaps with itself.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "http/message.h"

namespace pagoda {

struct TlsConfig {
  std::string certfile, keyfile, ca_certs, ciphers;
  int cert_reqs = 0;  // as Python's ssl: 0 none, 1 optional, 2 required client certificate
  bool enabled() const { return !certfile.empty(); }
};

struct CorsConfig {
  std::vector<std::string> allowed_origins, allowed_methods = {"*"}, allowed_headers = {"*"};
  bool allow_credentials = false;
};

struct HttpServerConfig {
  std::string host;  // empty: all interfaces, IPv4 and IPv6
  int port = 8000;   // 0: the system chooses, see HttpServer::port()
  std::string uds;   // a Unix socket's path; overrides host and port
  TlsConfig tls;
  CorsConfig cors;
  std::string root_path;  // stripped from the front of a path when it is there
  int num_threads = 1;
  std::size_t header_bytes_max = 64 * 1024;
  int header_count_max = 256;
  std::size_t body_bytes_max = 64u << 20;
  std::size_t body_memory_max = 256u << 20;  // of all bodies together, but for the start of each; then 503
  // Lowered to what the limit of open files allows. When all are taken, one that waits for its client (to
  // send the rest of a request, or to take its answer) is closed for a newcomer: of the tenant with most of
  // them the one that has waited longest. While none waits, newcomers are answered 503, unless they ask for a
  // probe's route.
  int connections_max = 4096;
  double header_timeout_s =
      10;  // from a request's first byte (or the connection's start) to the end of its headers
  double body_timeout_s = 60;   // and from there to the end of its body
  double idle_timeout_s = 75;   // keep-alive without a request; 0: none
  double write_timeout_s = 30;  // a client that takes nothing for so long is cut off
  double write_grace_s =
      0.5;  // and one that lets an answer wait for so long counts as one that is waited for
  std::size_t write_buffer_max = 4u << 20;  // a stream that writes on with more unsent bytes is cut off
  double sse_keep_alive_s = 0;  // a comment in an event stream that is silent for so long; 0: none
  bool access_log = true;
  std::vector<std::string> access_log_excluded_paths;
  bool request_id_header = false;  // echo (or make) X-Request-Id
};

// One request and its answer, told when the answer's last byte is out or the client has gone.
struct HttpExchangeStats {
  std::string method;      // empty: the request could not be read
  std::string_view route;  // the path that on() was given; empty: there is none for this request
  int status = 0;          // 499: the client had gone before there was an answer
  double seconds = 0;      // from the request's last byte
  uint64_t request_bytes = 0, response_bytes = 0;  // of the body; on the wire
};

struct RouteOptions {
  HttpFilter check;    // after those of before(), on the same terms
  bool probe = false;  // answered even when connections are full, and no reason to keep a place
  // Where it is less than the server's; 0: the server's, or kLittleBody for GET.
  std::size_t body_bytes_max = 0;
  static constexpr std::size_t kLittleBody = 64 * 1024;  // for routes that read none
};

class HttpServer {
 public:
  explicit HttpServer(HttpServerConfig config);
  ~HttpServer();  // stop()
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Routes; before start(). An unknown path is 404, a known one with another method 405 with Allow, both
  // answered with the body of the `not_found` hook where set. HEAD is served by GET handlers.
  // Slashes at the end of a request's path do not count.
  // A path that ends in "/*" takes everything below it that has no route of its own; the longest such path
  // wins.
  void on(std::string method, std::string path, HttpHandler handler, RouteOptions options = {});
  // Method and path of each.
  std::vector<std::pair<std::string, std::string>> routes() const;
  // Runs before routing for every request but CORS preflights, when its head has come and nothing is kept of
  // its body; a response ends the request (keys), and the connection if there is a body.
  void before(HttpFilter filter);
  // The body of errors that this room itself makes (400 framing, 404, 405, 408, 413, 431, 503).
  void error_body(std::function<std::string(int status, const std::string& message)> writer);

  // Called on any thread when the last of many large bodies has been let go: a time to return memory.
  void on_burst_over(std::function<void()> callback);

  // Which tenant a connection is of, for choosing one to close when there are too many: asked when a head has
  // come, and with the remote address alone before that. Without it all are of one tenant.
  void tenant(std::function<std::uint64_t(const HttpRequest&)> of);

  // Told of every exchange, on its I/O thread: must be quick.
  void observe(std::function<void(const HttpExchangeStats&)> observer);

  // Binds the address. Error kIo says which address and why ("port 8000 is taken: choose another with
  // --port").
  Status bind();
  // Starts to listen and to serve. Requires: bind() succeeded.
  Status start();
  int port() const;
  int num_connections() const;
  // Those that have come whole, or are refused, and whose answers are not out.
  int num_requests() const;
  // Stops listening. A request that has not come whole is refused (503), idle connections close, the others
  // close after their answer.
  void drain();
  // Answers so every request that has no answer yet; one whose stream has begun is its handler's to end.
  void cut_off(HttpResponse answer);
  // Closes everything and joins the I/O threads.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
