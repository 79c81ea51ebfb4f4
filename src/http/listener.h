// Listening sockets: binds them with errors a person can act on, and accepts without dying of a full
// descriptor table. Internal to this room. Threads: bind() and listen() before the I/O threads run; the rest
// on the accepting I/O thread.
#pragma once
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "http/server.h"

namespace pagoda {

class Listener {
 public:
  // Takes ownership of `fd`, a connected socket that does not block, also where it throws. `remote`:
  // "127.0.0.1:50312" or "unix".
  using OnAccept = std::function<void(int fd, int family, std::string remote)>;

  ~Listener();
  Status bind(const HttpServerConfig& config);
  Status listen();
  // Begins to accept on the thread that runs `context`.
  void start(boost::asio::io_context& context, OnAccept on_accept);
  void close();
  int port() const { return port_; }

 private:
  struct Acceptor {
    boost::asio::posix::stream_descriptor descriptor;
    boost::asio::steady_timer pause;
  };

  Status bind_tcp(const HttpServerConfig& config);
  Status bind_unix(const std::string& path);
  // One address; the descriptor, or -1 with errno.
  int bind_one(int family, const void* address, unsigned size);
  void wait(Acceptor* acceptor);
  void accept_all(Acceptor* acceptor);
  void hand_on(int fd, int family, const sockaddr_storage& address);
  void accept_later(Acceptor* acceptor, int error);

  std::vector<int> fds_;  // bound; start() gives them to the acceptors
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  OnAccept on_accept_;
  std::string address_, uds_;
  int port_ = 0;
  bool closed_ = false;
  bool starved_ = false;  // of descriptors: said once
};

}  // namespace pagoda
