#include "http/byte_stream.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace pagoda {

namespace asio = boost::asio;

namespace {

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(SocketHandle socket) : socket_(std::move(socket)) {}
  ~PlainStream() override { close(); }

  asio::awaitable<void> handshake(error_code& ec) override {
    ec = {};
    co_return;
  }
  asio::awaitable<std::size_t> read_some(asio::mutable_buffer buffer, error_code& ec) override {
    return socket_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, ec));
  }
  asio::awaitable<std::size_t> write_some(asio::const_buffer buffer, error_code& ec) override {
    return socket_.async_write_some(buffer, asio::redirect_error(asio::use_awaitable, ec));
  }
  asio::awaitable<void> finish_writing() override {
    error_code ignored;
    socket_.shutdown(SocketHandle::shutdown_send, ignored);
    co_return;
  }
  void close() override {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  SocketHandle socket_;
};

}  // namespace

std::unique_ptr<ByteStream> make_plain_stream(SocketHandle socket) {
  return std::make_unique<PlainStream>(std::move(socket));
}

}  // namespace pagoda
