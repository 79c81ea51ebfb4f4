#include "http/client.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "http/byte_stream.h"
#include "http/client_wire.h"
#include "http/framing.h"
#include "http/response_parser.h"
#include "http/url.h"

namespace pagoda {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

// One request's work, on a loop of its own that the caller runs until the deadline.
class Call {
 public:
  Call(const ClientRequest& request, Url url, const std::function<bool(std::string_view)>* on_data)
      : request_(request), url_(std::move(url)), on_data_(on_data), parser_(request.method == "HEAD") {}

  Result<HttpResponse> run() {
    PAGODA_TRY(addresses_, find_addresses(url_));
    if (url_.tls) {
      PAGODA_TRY(tls_, TlsContext::for_client());
    }
    asio::co_spawn(context_, work(), asio::detached);
    using Clock = std::chrono::steady_clock;
    auto end = Clock::now() +
               std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(request_.timeout_s));
    while (!done_ && !context_.stopped() && Clock::now() < end) {
      context_.run_until(request_.go_on ? std::min(end, Clock::now() + std::chrono::milliseconds(50)) : end);
      if (!done_ && request_.go_on && !request_.go_on()) return io_error("given up");
    }
    if (!done_)
      return io_error("no whole answer from " + url_.authority + " within " +
                      std::to_string(request_.timeout_s) + " s");
    if (!status_.ok()) return status_;
    return std::move(response_);
  }

 private:
  asio::awaitable<void> work() try {
    error_code ec = asio::error::host_not_found;
    SocketHandle socket(context_);
    for (const SocketAddress& address : addresses_) {
      auto endpoint = address.endpoint();
      error_code ignored;
      socket.close(ignored);
      co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, ec));
      if (!ec) break;
    }
    if (ec) {
      finish(io_error("cannot connect to " + url_.authority + ": " + ec.message()));
      co_return;
    }
    stream_ = tls_ ? tls_->connect(std::move(socket), url_.host) : make_plain_stream(std::move(socket));
    co_await stream_->handshake(ec);
    if (ec) {
      finish(io_error("TLS with " + url_.authority + " failed: " + ec.message()));
      co_return;
    }
    // A server may answer before it has the whole body (413): the answer is read even when writing fails.
    asio::co_spawn(context_, write_all(), asio::detached);
    co_await read_all();
    stream_->close();
  } catch (const std::exception& e) {
    finish(io_error("the request to " + url_.authority + " failed: " + e.what()));
  }

  asio::awaitable<void> write_all() {
    std::string bytes = render_request(request_, url_);
    error_code ec;
    for (std::size_t sent = 0; sent < bytes.size() && !ec && !done_;) {
      asio::const_buffer buffer(bytes.data() + sent, bytes.size() - sent);
      sent += co_await stream_->write_some(buffer, ec);
    }
  }

  asio::awaitable<void> read_all() {
    std::string buffer(kReadBytes, '\0');
    for (;;) {
      error_code ec;
      asio::mutable_buffer space(buffer.data(), buffer.size());
      std::size_t n = co_await stream_->read_some(space, ec);
      Status checked = ec ? parser_.finish() : parser_.feed({buffer.data(), n});
      if (!checked.ok() && ec && ec != asio::error::eof) checked = io_error(ec.message());
      if (!checked.ok()) {
        finish(std::move(checked).with_context("the answer of " + url_.authority));
        co_return;
      }
      bool go_on = deliver();
      if (response_.body.size() > kAnswerBytesMax) {
        finish(io_error("the answer of " + url_.authority + " is too long"));
        co_return;
      }
      if (!go_on || parser_.done()) {
        finish({});
        co_return;
      }
    }
  }

  // Hands the body on, or keeps it. False: the caller hangs up.
  bool deliver() {
    if (!parser_.head_done()) return true;
    if (response_.headers.empty()) parser_.take_head(&response_);
    std::string piece = parser_.take_body();
    bool streams = on_data_ != nullptr && response_.status >= 200 && response_.status < 300;
    if (streams) return piece.empty() || (*on_data_)(piece);
    response_.body += piece;
    return true;
  }

  void finish(Status status) {
    if (done_) return;
    done_ = true;
    status_ = std::move(status);
    response_.content_type.clear();
    for (const auto& [name, value] : response_.headers)
      if (equal_ignoring_case(name, "content-type")) response_.content_type = value;
    if (stream_) stream_->close();
  }

  const ClientRequest& request_;
  Url url_;
  const std::function<bool(std::string_view)>* on_data_;
  std::vector<SocketAddress> addresses_;
  std::shared_ptr<TlsContext> tls_;
  asio::io_context context_;
  std::unique_ptr<ByteStream> stream_;
  ResponseParser parser_;
  HttpResponse response_;
  Status status_;
  bool done_ = false;
};

Result<HttpResponse> call(const ClientRequest& request,
                          const std::function<bool(std::string_view)>* on_data) {
  if (!is_token(request.method)) return invalid_argument("the HTTP method is not valid: " + request.method);
  PAGODA_RETURN_IF_ERROR(check_headers(request.headers));
  PAGODA_TRY(Url url, parse_url(request.url));
  return Call(request, std::move(url), on_data).run();
}

}  // namespace

Result<HttpResponse> http_request(const ClientRequest& request) {
  return call(request, nullptr);
}

Result<HttpResponse> http_stream(const ClientRequest& request,
                                 const std::function<bool(std::string_view)>& on_data) {
  return call(request, &on_data);
}

}  // namespace pagoda
