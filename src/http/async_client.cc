#include "http/async_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
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

constexpr std::size_t kReadBytes = 16 * 1024;

// One request on its way. Owned by its coroutine; its timer only closes what the coroutine waits for.
struct Call {
  Call(AsyncClient::Request&& given, asio::io_context& context) : request(std::move(given)), timer(context) {}

  void give_up() {
    timed_out = true;
    error_code ignored;
    if (connecting != nullptr) connecting->close(ignored);
    if (stream) stream->close();
  }

  AsyncClient::Request request;
  asio::steady_timer timer;
  SocketHandle* connecting = nullptr;
  std::unique_ptr<ByteStream> stream;
  bool is_kept = false;    // the stream has carried a request before
  bool has_bytes = false;  // of the answer
  bool timed_out = false;
  HttpResponse response;
};

}  // namespace

struct AsyncClient::Impl {
  asio::io_context context{1};
  Url url;
  std::vector<SocketAddress> addresses;
  std::shared_ptr<TlsContext> tls;
  std::vector<std::unique_ptr<ByteStream>> idle;

  asio::awaitable<void> work(std::shared_ptr<Call> call);
  asio::awaitable<Status> attempt(Call* call, const std::string* bytes);
  asio::awaitable<Status> connect(Call* call);
  asio::awaitable<Status> write_all(Call* call, const std::string* bytes);
  asio::awaitable<Status> read_all(Call* call);
  Status take(Call* call, std::string_view bytes, ResponseParser* parser);
  std::string wire_bytes(const Request& request) const;
};

std::string AsyncClient::Impl::wire_bytes(const Request& request) const {
  ClientRequest wire;
  wire.method = request.method;
  wire.body = request.body;
  wire.headers = request.headers;
  wire.headers.emplace_back("Connection", "keep-alive");
  Url to = url;
  to.target = request.target;
  return render_request(wire, to);
}

asio::awaitable<void> AsyncClient::Impl::work(std::shared_ptr<Call> call) {
  std::string bytes = wire_bytes(call->request);
  Status status = check_headers(call->request.headers);
  for (bool again = status.ok(); again;) {
    // Every exception ends here: a coroutine of a request never takes the others with it.
    try {
      status = co_await attempt(call.get(), &bytes);
    } catch (const std::exception& e) {
      status = io_error(e.what());
    }
    // A kept connection that ended before the first byte of an answer was closed by the server meanwhile.
    again = !status.ok() && call->is_kept && !call->has_bytes && !call->timed_out;
    if (!status.ok()) call->stream.reset();
    call->is_kept = false;
  }
  call->timer.cancel();
  if (call->timed_out) status = io_error("no whole answer within the time limit");
  auto on_done = std::move(call->request.on_done);
  if (status.ok())
    on_done(std::move(call->response));
  else
    on_done(std::move(status).with_context(url.authority));
}

asio::awaitable<Status> AsyncClient::Impl::attempt(Call* call, const std::string* bytes) {
  if (!idle.empty() && !call->stream) {
    call->stream = std::move(idle.back());
    idle.pop_back();
    call->is_kept = true;
  } else {
    Status connected = co_await connect(call);
    if (!connected.ok()) co_return connected;
  }
  // A server may answer before it has the whole body (413): the answer is read even when writing fails.
  Status written = co_await write_all(call, bytes);
  Status answered = co_await read_all(call);
  if (!answered.ok() && !written.ok() && !call->has_bytes) co_return written;
  co_return answered;
}

asio::awaitable<Status> AsyncClient::Impl::connect(Call* call) {
  error_code ec = asio::error::host_not_found;
  SocketHandle socket(context);
  call->connecting = &socket;
  for (const SocketAddress& address : addresses) {
    auto endpoint = address.endpoint();
    error_code ignored;
    socket.close(ignored);
    co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, ec));
    if (!ec || call->timed_out) break;
  }
  call->connecting = nullptr;
  if (ec) co_return io_error("cannot connect: " + ec.message());
  error_code ignored;  // a Unix socket has no such option
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  call->stream = tls ? tls->connect(std::move(socket), url.host) : make_plain_stream(std::move(socket));
  co_await call->stream->handshake(ec);
  if (ec) co_return io_error("TLS failed: " + ec.message());
  co_return Status();
}

asio::awaitable<Status> AsyncClient::Impl::write_all(Call* call, const std::string* bytes) {
  for (std::size_t sent = 0; sent < bytes->size();) {
    error_code ec;
    asio::const_buffer buffer(bytes->data() + sent, bytes->size() - sent);
    sent += co_await call->stream->write_some(buffer, ec);
    if (ec) co_return io_error("the request could not be sent: " + ec.message());
  }
  co_return Status();
}

asio::awaitable<Status> AsyncClient::Impl::read_all(Call* call) {
  ResponseParser parser(call->request.method == "HEAD");
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    error_code ec;
    asio::mutable_buffer space(buffer.data(), buffer.size());
    std::size_t n = co_await call->stream->read_some(space, ec);
    if (n > 0) call->has_bytes = true;
    Status checked = ec ? parser.finish() : take(call, {buffer.data(), n}, &parser);
    if (ec && checked.ok()) checked = take(call, {}, &parser);  // the connection's end was the answer's
    if (!checked.ok() && ec && ec != asio::error::eof) checked = io_error(ec.message());
    if (!checked.ok()) co_return checked;
    if (!parser.done()) continue;
    if (!ec && parser.leaves_connection_open()) idle.push_back(std::move(call->stream));
    call->stream.reset();
    co_return Status();
  }
}

// Hands what has come of the body on, or keeps it.
Status AsyncClient::Impl::take(Call* call, std::string_view bytes, ResponseParser* parser) {
  PAGODA_RETURN_IF_ERROR(parser->feed(bytes));
  if (!parser->head_done()) return {};
  if (call->response.headers.empty()) {
    parser->take_head(&call->response);
    for (const auto& [name, value] : call->response.headers)
      if (equal_ignoring_case(name, "content-type")) call->response.content_type = value;
  }
  std::string piece = parser->take_body();
  bool streams = call->request.on_data && call->response.status >= 200 && call->response.status < 300;
  if (!streams) {
    call->response.body += piece;
    if (call->response.body.size() > kAnswerBytesMax) return io_error("its body is too long");
  } else if (!piece.empty() && !call->request.on_data(piece)) {
    return io_error("given up");
  }
  return {};
}

AsyncClient::AsyncClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AsyncClient::~AsyncClient() = default;

Result<std::unique_ptr<AsyncClient>> AsyncClient::open(const std::string& url) {
  auto impl = std::make_unique<Impl>();
  PAGODA_TRY(impl->url, parse_url(url));
  PAGODA_TRY(impl->addresses, find_addresses(impl->url));
  if (impl->url.tls) {
    PAGODA_TRY(impl->tls, TlsContext::for_client());
  }
  return std::unique_ptr<AsyncClient>(new AsyncClient(std::move(impl)));
}

const std::string& AsyncClient::base_path() const {
  return impl_->url.target;
}

void AsyncClient::start(Request request) {
  auto call = std::make_shared<Call>(std::move(request), impl_->context);
  call->timer.expires_after(
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(call->request.timeout_s)));
  call->timer.async_wait([weak = std::weak_ptr<Call>(call)](const error_code& ec) {
    std::shared_ptr<Call> late = weak.lock();
    if (!ec && late) late->give_up();
  });
  asio::co_spawn(impl_->context, impl_->work(call), asio::detached);
}

void AsyncClient::at(Clock::time_point time, std::function<void()> task) {
  auto timer = std::make_shared<asio::steady_timer>(impl_->context, time);
  timer->async_wait([timer, task = std::move(task)](const error_code&) { task(); });
}

void AsyncClient::run() {
  impl_->context.restart();
  impl_->context.run();
}

}  // namespace pagoda
