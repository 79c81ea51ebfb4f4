#include "http/server.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <exception>
#include <utility>

#include "base/log.h"
#include "http/connection.h"
#include "http/core.h"
#include "http/io_thread.h"
#include "http/listener.h"

namespace pagoda {

namespace {

// Files, sockets and wake-ups of everything that is no client.
constexpr int kOtherDescriptors = 128;

// How many clients the limit of open files leaves room for; raises that limit as far as the system lets us.
int connections_allowed(int wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  constexpr rlim_t kOthers = kOtherDescriptors + Places::kSpare;
  const rlim_t needed = static_cast<rlim_t>(wanted) + kOthers;
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= needed) return wanted;
  const int room = limit.rlim_cur > kOthers ? static_cast<int>(limit.rlim_cur - kOthers) : 1;
  log_warning("At most {} connections instead of {}: the limit of open files (ulimit -n) is {}.", room,
              wanted, limit.rlim_cur);
  return room;
}

}  // namespace

HttpResponse ServerCore::error(int status, const std::string& message) const {
  HttpResponse response;
  response.status = status;
  if (status == 503) response.headers.emplace_back("retry-after", "1");  // too much of something, just now
  if (error_writer) {
    response.body = error_writer(status, message);
  } else {
    response.body = message + "\n";
    response.content_type = "text/plain; charset=utf-8";
  }
  return response;
}

const ServerCore::Route* ServerCore::find_route(const HttpRequest& request, HttpResponse* refusal) const {
  auto route = routes.find(request.path);
  if (route == routes.end()) route = find_subtree(request.path);
  if (route == routes.end()) {
    *refusal = error(404, "Not Found");
    return nullptr;
  }
  const auto& methods = route->second;
  auto found = methods.find(request.method);
  if (found == methods.end() && request.method == "HEAD") found = methods.find("GET");
  if (found != methods.end()) return &found->second;
  *refusal = error(405, "Method Not Allowed");
  std::string allow;
  for (const auto& [method, unused] : methods) allow += (allow.empty() ? "" : ", ") + method;
  if (methods.count("GET") && !methods.count("HEAD")) allow += ", HEAD";
  refusal->headers.emplace_back("allow", allow);
  return nullptr;
}

std::string_view ServerCore::route_of(const std::string& path) const {
  auto route = routes.find(path);
  if (route == routes.end()) route = find_subtree(path);
  return route == routes.end() ? std::string_view() : route->first;
}

ServerCore::Routes::const_iterator ServerCore::find_subtree(const std::string& path) const {
  auto best = routes.end();
  for (auto route = routes.begin(); route != routes.end(); ++route) {
    const std::string& pattern = route->first;
    if (pattern.size() < 2 || pattern.compare(pattern.size() - 2, 2, "/*") != 0) continue;
    bool below = path.size() >= pattern.size() &&
                 path.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0;
    if (below && (best == routes.end() || pattern.size() > best->first.size())) best = route;
  }
  return best;
}

std::string ServerCore::route_path(std::string path) const {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string_view root = config.root_path;
  while (!root.empty() && root.back() == '/') root.remove_suffix(1);
  if (root.empty() || path.compare(0, root.size(), root) != 0) return path;
  if (path.size() == root.size()) return "/";
  if (path[root.size()] == '/') path.erase(0, root.size());
  return path;
}

bool ServerCore::logs_access(const std::string& path) const {
  const auto& excluded = config.access_log_excluded_paths;
  return config.access_log && std::find(excluded.begin(), excluded.end(), path) == excluded.end();
}

struct HttpServer::Impl {
  std::shared_ptr<ServerCore> core = std::make_shared<ServerCore>();
  std::vector<std::shared_ptr<IoThread>> threads;
  std::unique_ptr<Listener> listener = std::make_unique<Listener>();
  std::size_t next_thread = 0;  // on the accepting thread

  void adopt(int fd, int family, const std::string& remote);
  bool hand_on(int fd, int family, const std::string& remote, Places::Seat seat);
  void on_each_connection(std::function<void(Connection&)> action);
};

namespace {

// On the connection's thread. The socket and the seat are the connection's, or given back.
void open_connection(const std::shared_ptr<ServerCore>& core, const std::shared_ptr<IoThread>& io, int fd,
                     int family, const std::string& remote, Places::Seat seat) noexcept {
  bool is_ours = true;  // the descriptor
  std::shared_ptr<Connection> connection;
  try {
    SocketHandle socket(io->context());
    error_code ec = boost::asio::error::operation_aborted;
    if (!core->stopping) socket.assign(boost::asio::generic::stream_protocol(family, SOCK_STREAM), fd, ec);
    is_ours = !socket.is_open();
    if (!ec) {
      auto stream = core->tls ? core->tls->accept(std::move(socket)) : make_plain_stream(std::move(socket));
      connection = std::make_shared<Connection>(core, io, std::move(stream), remote, seat);
      return connection->start();
    }
  } catch (const std::exception& e) {
    log_error("A connection of {} could not be opened: {}", remote, e.what());
  }
  if (is_ours) ::close(fd);
  if (!connection) core->places.give_back(seat);  // else it gives it back itself
}

}  // namespace

// On the accepting thread. Without memory for it the client is sent away.
void HttpServer::Impl::adopt(int fd, int family, const std::string& remote) {
  std::shared_ptr<Connection> leaves;
  const Places::Seat seat = core->places.take(&leaves);
  try {
    if (leaves) leaves->io().run_here([leaves] { leaves->leave(); });
    if (seat != Places::Seat::kNone && hand_on(fd, family, remote, seat)) return;
  } catch (const std::exception& e) {
    log_error("A connection of {} could not be opened: {}", remote, e.what());
  }
  ::close(fd);
  core->places.give_back(seat);
}

// To the next I/O thread; false, or what is thrown: not handed on.
bool HttpServer::Impl::hand_on(int fd, int family, const std::string& remote, Places::Seat seat) {
  const std::shared_ptr<IoThread>& io = threads[next_thread++ % threads.size()];
  return io->run_here(
      [core = core, io, fd, family, remote, seat] { open_connection(core, io, fd, family, remote, seat); });
}

void HttpServer::Impl::on_each_connection(std::function<void(Connection&)> action) {
  for (const auto& io : threads) {
    io->post([io, action] {
      std::vector<std::shared_ptr<Connection>> all;  // the action changes the set
      for (Connection* connection : io->connections()) all.push_back(connection->shared_from_this());
      for (const auto& connection : all) action(*connection);
    });
  }
}

HttpServer::HttpServer(HttpServerConfig config) : impl_(std::make_unique<Impl>()) {
  impl_->core->config = std::move(config);
}

HttpServer::~HttpServer() {
  stop();
}

void HttpServer::on(std::string method, std::string path, HttpHandler handler, RouteOptions options) {
  if (options.body_bytes_max == 0)
    options.body_bytes_max = method == "GET" ? RouteOptions::kLittleBody : impl_->core->config.body_bytes_max;
  impl_->core->routes[std::move(path)][std::move(method)] = {std::move(handler), std::move(options)};
}

std::vector<std::pair<std::string, std::string>> HttpServer::routes() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [path, methods] : impl_->core->routes)
    for (const auto& [method, handler] : methods) all.emplace_back(method, path);
  return all;
}

void HttpServer::before(HttpFilter filter) {
  impl_->core->filters.push_back(std::move(filter));
}

void HttpServer::error_body(std::function<std::string(int status, const std::string& message)> writer) {
  impl_->core->error_writer = std::move(writer);
}

void HttpServer::on_burst_over(std::function<void()> callback) {
  impl_->core->on_burst_over = std::move(callback);
}

void HttpServer::tenant(std::function<std::uint64_t(const HttpRequest&)> of) {
  impl_->core->tenant = std::move(of);
}

void HttpServer::observe(std::function<void(const HttpExchangeStats&)> observer) {
  impl_->core->observer = std::move(observer);
}

Status HttpServer::bind() {
  const HttpServerConfig& config = impl_->core->config;
  if (config.tls.enabled()) {
    PAGODA_TRY(impl_->core->tls, TlsContext::for_server(config.tls));
  } else if (!config.tls.keyfile.empty()) {
    return invalid_argument("a TLS key needs its certificate: give ssl_certfile too", "ssl_certfile");
  }
  return impl_->listener->bind(config);
}

Status HttpServer::start() {
  if (!impl_->threads.empty()) return internal_error("the HTTP server runs already");
  PAGODA_RETURN_IF_ERROR(impl_->listener->listen());
  ServerCore& core = *impl_->core;
  core.places.set_limit(connections_allowed(std::max(1, core.config.connections_max)));
  core.bodies->configure(core.config.body_memory_max, core.on_burst_over);
  int num_threads = std::max(1, impl_->core->config.num_threads);
  for (int i = 0; i < num_threads; ++i) impl_->threads.push_back(std::make_shared<IoThread>());
  impl_->listener->start(impl_->threads[0]->context(),
                         [impl = impl_.get()](int fd, int family, const std::string& remote) {
                           impl->adopt(fd, family, remote);
                         });
  for (const auto& io : impl_->threads) io->start();
  return {};
}

int HttpServer::port() const {
  return impl_->listener->port();
}
int HttpServer::num_connections() const {
  return impl_->core->places.taken();
}
int HttpServer::num_requests() const {
  return impl_->core->num_requests;
}

void HttpServer::drain() {
  if (impl_->threads.empty() || impl_->core->draining.exchange(true)) return;
  impl_->threads[0]->post([impl = impl_.get()] {
    impl->listener->close();
    impl->on_each_connection([](Connection& connection) { connection.drain(); });
  });
}

void HttpServer::cut_off(HttpResponse answer) {
  impl_->on_each_connection([answer = std::move(answer)](Connection& one) { one.cut_off(answer); });
}

void HttpServer::stop() {
  if (impl_->core->stopping.exchange(true)) return;
  if (impl_->threads.empty()) return impl_->listener->close();
  impl_->threads[0]->post([impl = impl_.get()] {
    impl->listener->close();
    impl->on_each_connection([](Connection& connection) { connection.close(); });
  });
  // The first thread tells the others what to close, so it is the first to end.
  for (const auto& io : impl_->threads) io->join();
}

}  // namespace pagoda
