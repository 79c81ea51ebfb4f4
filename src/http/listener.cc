#include "http/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/system/error_code.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"

namespace pagoda {

using boost::system::error_code;

namespace {

constexpr int kBacklog = 2048;
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr int kAcceptsPerWakeUp = 64;

void set_option(int fd, int level, int option) {
  int on = 1;
  ::setsockopt(fd, level, option, &on, sizeof(on));
}

std::string remote_name(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return fmt::format("{}:{}", text, ntohs(v4.sin_port));
  }
  if (address.ss_family != AF_INET6) return "unix";
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    ::inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof(text));
    return fmt::format("{}:{}", text, ntohs(v6.sin6_port));
  }
  ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
  return fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
}

int bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
  return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
}

Status bind_error(const std::string& address, int port, int error) {
  if (error == EADDRINUSE) return io_error(fmt::format("port {} is taken: choose another with --port", port));
  if (error == EACCES)
    return io_error(
        fmt::format("port {} needs more rights than this user has: choose one above 1023 with --port", port));
  if (error == EADDRNOTAVAIL)
    return io_error(fmt::format("{} is not an address of this machine: choose another with --host", address));
  return io_error(fmt::format("cannot listen on {} port {}: {}", address, port, std::strerror(error)));
}

// Whether a server answers behind the socket file.
bool unix_socket_is_live(const sockaddr_un& address) {
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  bool live =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN;
  ::close(fd);
  return live;
}

}  // namespace

Listener::~Listener() {
  close();
}

Status Listener::bind(const HttpServerConfig& config) {
  if (!fds_.empty()) return internal_error("the HTTP server is bound already");
  return config.uds.empty() ? bind_tcp(config) : bind_unix(config.uds);
}

int Listener::bind_one(int family, const void* address, unsigned size) {
  int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (family != AF_UNIX) set_option(fd, SOL_SOCKET, SO_REUSEADDR);
  if (family == AF_INET6) {
    // One socket for both families where all interfaces are meant; an address given as IPv6 is only that.
    int only = IN6_IS_ADDR_UNSPECIFIED(&static_cast<const sockaddr_in6*>(address)->sin6_addr) ? 0 : 1;
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
  }
  if (::bind(fd, static_cast<const sockaddr*>(address), size) != 0) {
    int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  fds_.push_back(fd);
  return fd;
}

Status Listener::bind_tcp(const HttpServerConfig& config) {
  if (config.port < 0 || config.port > 65535)
    return invalid_argument("the port must be between 0 and 65535", "port");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  // "::" also takes IPv4; a machine without IPv6 gets 0.0.0.0.
  std::vector<std::string> hosts =
      config.host.empty() ? std::vector<std::string>{"::", "0.0.0.0"} : std::vector<std::string>{config.host};
  address_ = config.host.empty() ? "0.0.0.0" : config.host;
  port_ = config.port;
  int error = EADDRNOTAVAIL;
  for (const std::string& host : hosts) {
    int failure = ::getaddrinfo(host.c_str(), std::to_string(config.port).c_str(), &hints, &found);
    if (failure != 0)
      return io_error(fmt::format("cannot find the address of host {}: {}", host, ::gai_strerror(failure)));
    for (addrinfo* one = found; one != nullptr; one = one->ai_next) {
      sockaddr_storage address{};
      std::memcpy(&address, one->ai_addr, one->ai_addrlen);
      if (port_ != 0) {  // all addresses of one host share the port that the system chose for the first
        auto& v4 = reinterpret_cast<sockaddr_in&>(address);
        v4.sin_port = htons(static_cast<std::uint16_t>(port_));  // at the same place in sockaddr_in6
      }
      int fd = bind_one(one->ai_family, &address, one->ai_addrlen);
      if (fd < 0) error = errno;
      if (fd < 0 && error == EADDRINUSE) break;
      if (fd >= 0) port_ = bound_port(fd);
    }
    ::freeaddrinfo(found);
    if (!fds_.empty() || error == EADDRINUSE) break;
  }
  if (!fds_.empty() && error != EADDRINUSE) return {};
  for (int fd : std::exchange(fds_, {})) ::close(fd);
  return bind_error(address_, config.port, error);
}

Status Listener::bind_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return invalid_argument(
        fmt::format("the Unix socket's path is longer than {} bytes: {}", sizeof(address.sun_path) - 1, path),
        "uds");
  std::memcpy(address.sun_path, path.data(), path.size());
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) return io_error("the Unix socket's path is another file already: " + path);
    if (unix_socket_is_live(address))
      return io_error("another server listens on the Unix socket " + path + ": choose another with --uds");
    ::unlink(path.c_str());  // left behind by a server that is gone
  }
  int fd = bind_one(AF_UNIX, &address, sizeof(address));
  if (fd < 0) return io_error(fmt::format("cannot make the Unix socket {}: {}", path, std::strerror(errno)));
  uds_ = path;
  ::chmod(path.c_str(), 0666);  // the folder's rights say who may connect
  return {};
}

Status Listener::listen() {
  if (fds_.empty()) return internal_error("the HTTP server is not bound to an address");
  for (int fd : fds_)
    if (::listen(fd, kBacklog) != 0) return bind_error(address_, port_, errno);
  return {};
}

void Listener::start(boost::asio::io_context& context, OnAccept on_accept) {
  on_accept_ = std::move(on_accept);
  for (int fd : std::exchange(fds_, {})) {
    acceptors_.push_back(std::make_unique<Acceptor>(
        Acceptor{boost::asio::posix::stream_descriptor(context, fd), boost::asio::steady_timer(context)}));
    wait(acceptors_.back().get());
  }
}

// Without memory for this the server would be deaf from then on.
void Listener::wait(Acceptor* acceptor) {
  UseOfReserve to_go_on;
  acceptor->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                  [this, acceptor](error_code ec) {
                                    if (!ec && !closed_) accept_all(acceptor);
                                  });
}

void Listener::accept_all(Acceptor* acceptor) {
  for (int i = 0; i < kAcceptsPerWakeUp; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    int fd = ::accept4(acceptor->descriptor.native_handle(), reinterpret_cast<sockaddr*>(&address), &size,
                       SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        return accept_later(acceptor, errno);
      if (errno == ECONNABORTED || errno == EINTR) continue;
      break;  // EAGAIN: no more
    }
    int family = size == 0 ? AF_UNIX : address.ss_family;
    if (family != AF_UNIX) {
      set_option(fd, IPPROTO_TCP, TCP_NODELAY);
      set_option(fd, SOL_SOCKET, SO_KEEPALIVE);
    }
    starved_ = false;
    hand_on(fd, family, address);
  }
  wait(acceptor);
}

// Where memory lacks, this client is sent away, and the next may come.
void Listener::hand_on(int fd, int family, const sockaddr_storage& address) {
  bool is_ours = true;
  try {
    std::string remote = remote_name(address);
    is_ours = false;
    on_accept_(fd, family, std::move(remote));
  } catch (const std::exception& e) {
    if (is_ours) ::close(fd);
    log_error("A connection could not be accepted: {}", e.what());
  }
}

// The waiting connection keeps the socket readable: asking again at once would spin until a descriptor is
// free.
void Listener::accept_later(Acceptor* acceptor, int error) {
  UseOfReserve to_go_on;
  if (!std::exchange(starved_, true))
    log_warning("Cannot accept connections just now: {}; is the limit of open files (ulimit -n) too low?",
                std::strerror(error));
  acceptor->pause.expires_after(kAcceptPause);
  acceptor->pause.async_wait([this, acceptor](error_code ec) {
    if (!ec && !closed_) accept_all(acceptor);
  });
}

void Listener::close() {
  if (std::exchange(closed_, true)) return;
  for (int fd : std::exchange(fds_, {})) ::close(fd);
  for (auto& acceptor : acceptors_) {
    error_code ignored;
    acceptor->descriptor.close(ignored);
    acceptor->pause.cancel();
  }
  if (!uds_.empty()) ::unlink(uds_.c_str());
}

}  // namespace pagoda
