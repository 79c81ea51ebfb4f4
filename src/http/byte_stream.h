// A connected byte stream, whatever carries it (TCP, Unix socket, TLS), behind virtual calls: the
// connection's coroutines are then compiled once, and each heavy Asio template in one file. Internal to this
// room. Threads: all calls on the I/O thread of the socket; one read and one write may be under way at once.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <string>

#include "base/status.h"
#include "http/server.h"

namespace boost::asio::ssl {
class context;
}

namespace pagoda {

using SocketHandle = boost::asio::generic::stream_protocol::socket;
using boost::system::error_code;

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // TLS only; plain streams are ready at once.
  virtual boost::asio::awaitable<void> handshake(error_code& ec) = 0;
  virtual boost::asio::awaitable<std::size_t> read_some(boost::asio::mutable_buffer buffer,
                                                        error_code& ec) = 0;
  virtual boost::asio::awaitable<std::size_t> write_some(boost::asio::const_buffer buffer,
                                                         error_code& ec) = 0;
  // Tells the peer that nothing more will come; its bytes can still be read. May last until the peer answers.
  virtual boost::asio::awaitable<void> finish_writing() = 0;
  // Ends what is under way with an error and gives the descriptor back.
  virtual void close() = 0;
};

std::unique_ptr<ByteStream> make_plain_stream(SocketHandle socket);

// One certificate and its rules, for a server's streams, or the system's roots, for a client's.
class TlsContext {
 public:
  // Errors kInvalidArgument name the file (or the ciphers) at fault.
  static Result<std::shared_ptr<TlsContext>> for_server(const TlsConfig& config);
  static Result<std::shared_ptr<TlsContext>> for_client();
  explicit TlsContext(std::unique_ptr<boost::asio::ssl::context> context);
  ~TlsContext();
  std::unique_ptr<ByteStream> accept(SocketHandle socket);
  // Verifies the server's certificate against `host`.
  std::unique_ptr<ByteStream> connect(SocketHandle socket, const std::string& host);

 private:
  std::unique_ptr<boost::asio::ssl::context> context_;
};

}  // namespace pagoda
