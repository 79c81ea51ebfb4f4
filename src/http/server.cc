#include "http/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "http/connection.h"
#include "http/core.h"
#include "http/io_thread.h"
#include "http/listener.h"

namespace pagoda {

namespace {
// Connections over the limit that may be told so at one time; more are closed without a word.
constexpr int kRefusalsMax = 64;
}  // namespace

struct HttpServer::Impl {
  std::shared_ptr<ServerCore> core = std::make_shared<ServerCore>();
  std::vector<std::shared_ptr<IoThread>> threads;
  std::unique_ptr<Listener> listener = std::make_unique<Listener>();
  std::size_t next_thread = 0;  // on the accepting thread

  void adopt(int fd, int family, std::string remote);
  void on_each_connection(void (Connection::*action)());
};

// On the accepting thread: hands the socket to the next I/O thread.
void HttpServer::Impl::adopt(int fd, int family, std::string remote) {
  int count = ++core->num_connections;
  const std::shared_ptr<IoThread>& io = threads[next_thread++ % threads.size()];
  bool refused = count > core->config.connections_max;
  bool hopeless = count > core->config.connections_max + kRefusalsMax;
  auto open = [shared = core, io, fd, family, remote = std::move(remote), refused] {
    SocketHandle socket(io->context());
    error_code ec;
    if (!shared->stopping) socket.assign(boost::asio::generic::stream_protocol(family, SOCK_STREAM), fd, ec);
    if (ec || shared->stopping) {
      if (!socket.is_open()) ::close(fd);
      --shared->num_connections;
      return;
    }
    auto stream = shared->tls ? shared->tls->accept(std::move(socket)) : make_plain_stream(std::move(socket));
    std::make_shared<Connection>(shared, io, std::move(stream), remote, refused)->start();
  };
  if (!hopeless && io->post(std::move(open))) return;
  ::close(fd);
  --core->num_connections;
}

void HttpServer::Impl::on_each_connection(void (Connection::*action)()) {
  for (const auto& io : threads) {
    io->post([io, action] {
      std::vector<std::shared_ptr<Connection>> all;  // the action changes the set
      for (Connection* connection : io->connections()) all.push_back(connection->shared_from_this());
      for (const auto& connection : all) (connection.get()->*action)();
    });
  }
}

HttpServer::HttpServer(HttpServerConfig config) : impl_(std::make_unique<Impl>()) {
  impl_->core->config = std::move(config);
}

HttpServer::~HttpServer() {
  stop();
}

void HttpServer::on(std::string method, std::string path, HttpHandler handler) {
  impl_->core->routes[std::move(path)][std::move(method)] = std::move(handler);
}

void HttpServer::before(std::function<std::optional<HttpResponse>(const HttpRequest&)> filter) {
  impl_->core->filters.push_back(std::move(filter));
}

void HttpServer::error_body(std::function<std::string(int status, const std::string& message)> writer) {
  impl_->core->error_writer = std::move(writer);
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
  int num_threads = std::max(1, impl_->core->config.num_threads);
  for (int i = 0; i < num_threads; ++i) impl_->threads.push_back(std::make_shared<IoThread>());
  impl_->listener->start(impl_->threads[0]->context(),
                         [impl = impl_.get()](int fd, int family, std::string remote) {
                           impl->adopt(fd, family, std::move(remote));
                         });
  for (const auto& io : impl_->threads) io->start();
  return {};
}

int HttpServer::port() const {
  return impl_->listener->port();
}
int HttpServer::num_connections() const {
  return impl_->core->num_connections;
}

void HttpServer::drain() {
  if (impl_->threads.empty() || impl_->core->draining.exchange(true)) return;
  impl_->threads[0]->post([impl = impl_.get()] {
    impl->listener->close();
    impl->on_each_connection(&Connection::drain);
  });
}

void HttpServer::stop() {
  if (impl_->core->stopping.exchange(true)) return;
  if (impl_->threads.empty()) return impl_->listener->close();
  impl_->threads[0]->post([impl = impl_.get()] {
    impl->listener->close();
    impl->on_each_connection(&Connection::close);
  });
  // The first thread tells the others what to close, so it is the first to end.
  for (const auto& io : impl_->threads) io->join();
}

}  // namespace pagoda
