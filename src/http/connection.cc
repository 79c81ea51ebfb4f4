#include "http/connection.h"

#include <openssl/rand.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <new>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "http/cors.h"
#include "http/exchange.h"

namespace pagoda {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kReadBytes = 16 * 1024;          // one TLS record
constexpr std::size_t kPipelinedBytesMax = 64 * 1024;  // kept while an answer is made; then reading waits
constexpr std::size_t kDiscardBytesMax = 8u << 20;
constexpr std::size_t kRequestIdBytesMax = 256;
constexpr double kSpareTimeout = 5;  // seconds: a probe is quick

HeadLimits head_limits(const HttpServerConfig& config) {
  HeadLimits limits;
  limits.header_bytes_max = config.header_bytes_max;
  limits.header_count_max = config.header_count_max;
  return limits;
}

// The client's own id where it is short and shows all that it holds, or 128 random bits.
std::string request_id_for(const HttpRequest& request) {
  auto given = request.header("x-request-id");
  if (given && !given->empty() && given->size() <= kRequestIdBytesMax && escape_for_log(*given) == *given)
    return std::string(*given);
  unsigned char bytes[16];
  std::string id;
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return id;
  for (unsigned char byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

}  // namespace

Connection::Connection(std::shared_ptr<ServerCore> core, std::shared_ptr<IoThread> io,
                       std::unique_ptr<ByteStream> stream, std::string remote, Places::Seat seat)
    : core_(std::move(core)),
      io_(std::move(io)),
      stream_(std::move(stream)),
      remote_(std::move(remote)),
      ticket_{seat, false, 0, {}},
      read_buffer_(new char[kReadBytes]),
      timer_(io_->context()),
      resume_(io_->context()),
      read_deadline_(kNever),
      write_deadline_(kNever),
      keep_alive_at_(kNever),
      armed_for_(kNever),
      stalls_at_(kNever),
      write_time_left_(seconds_of(core_->config.write_grace_s)) {}

Connection::~Connection() {
  if (closed_) return;  // else it has not come as far as start()
  core_->places.end_wait(this);
  io_->connections().erase(this);
  core_->places.give_back(ticket_.seat);
}

void Connection::start() {
  io_->connections().insert(this);
  HttpRequest nothing_yet;
  nothing_yet.remote_address = remote_;
  tenant_ = tenant_of(nothing_yet);
  await_request(scaled_timeout(core_->config.header_timeout_s));
  spawn(read_loop(shared_from_this()));
  if (ticket_.seat == Places::Seat::kSpare) return note_wait();
  // After what has arrived by now: a client that asks at once does not count as one that waits.
  io_->post([self = shared_from_this()] { self->note_wait(); });
}

void Connection::await_request(double seconds) {
  phase_ = Phase::kRead;
  head_checked_ = body_started_ = blank_skipped_ = false;
  parser_ = std::make_unique<RequestParser>(head_limits(core_->config), core_->config.body_bytes_max);
  read_deadline_ = after(seconds);
  arm_timer();
}

Connection::Clock::duration Connection::seconds_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

Connection::Clock::time_point Connection::after(double seconds) {
  return Clock::now() + seconds_of(seconds);
}

double Connection::scaled_timeout(double seconds) const {
  return ticket_.seat == Places::Seat::kSpare ? std::min(kSpareTimeout, seconds) : seconds;
}

bool Connection::awaits_head() const {
  return phase_ == Phase::kRead && !head_checked_;
}

bool Connection::has_begun_request() const {
  return phase_ == Phase::kRead && (!in_.empty() || body_started_);
}

// A client that sends probe after probe without taking the answers would never count as waiting; it holds a
// place.
bool Connection::waits_for_client() const {
  return phase_ != Phase::kAnswer || stalled_ || (!has_worth_ && !in_.empty());
}

void Connection::note_wait() {
  if (closed_) return;
  UseOfReserve to_go_on;
  waits_for_client() ? core_->places.begin_wait(this, tenant_) : core_->places.end_wait(this);
}

std::uint64_t Connection::tenant_of(const HttpRequest& request) const {
  return core_->tenant ? core_->tenant(request) : 0;
}

void Connection::leave() {
  if (closed_ || !waits_for_client()) return;
  log_debug("{}: closed for another: it has kept the server waiting", remote_);
  close();
}

void Connection::spawn(asio::awaitable<void> work) {
  auto on_done = [self = shared_from_this()](std::exception_ptr failure) {
    if (!failure) return;
    UseOfReserve to_close;
    try {
      std::rethrow_exception(failure);
    } catch (...) {
      log_error("The HTTP connection of {} failed and is closed: {}", self->remote_,
                status_of_exception().message());
    }
    self->close();
  };
  asio::co_spawn(io_->context(), std::move(work), std::move(on_done));
}

asio::awaitable<void> Connection::read_loop(std::shared_ptr<Connection> self) {
  error_code ec;
  co_await self->stream_->handshake(ec);
  if (ec) {
    log_debug("{}: TLS handshake failed: {}", self->remote_, ec.message());
    self->close();
    co_return;
  }
  while (!self->closed_) {
    if (self->phase_ == Phase::kAnswer && self->in_.size() >= kPipelinedBytesMax) {
      self->resume_.expires_at(kNever);
      co_await self->resume_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      continue;
    }
    asio::mutable_buffer buffer(self->read_buffer_.get(), kReadBytes);
    std::size_t n = co_await self->stream_->read_some(buffer, ec);
    if (self->closed_) co_return;
    if (ec) {
      bool ended = ec == asio::error::eof;
      ended ? self->on_input_end() : self->close();
      co_return;
    }
    self->on_bytes(n);
  }
}

void Connection::on_bytes(std::size_t n) {
  if (phase_ == Phase::kLinger) {
    discarded_ += n;
    if (discarded_ > kDiscardBytesMax) close();
    return;
  }
  bool first_byte = in_.empty() && awaits_head();
  if (first_byte && num_answers_ > 0) {
    read_deadline_ = after(core_->config.header_timeout_s);
    arm_timer();
  }
  in_.append(read_buffer_.get(), n);
  if (phase_ == Phase::kRead) advance();
  note_wait();
}

// An answer that is already whole is still delivered: some clients close their sending side once they have
// asked.
void Connection::on_input_end() {
  input_ended_ = true;
  bool complete;
  {
    std::lock_guard lock(outbox_.mutex);
    complete = outbox_.complete;
  }
  if (!complete) close();
}

void Connection::advance() {
  if (!head_checked_ && !blank_skipped_) {
    if (in_ == "\r") return;
    if (in_.compare(0, 2, "\r\n") == 0) in_.erase(0, 2);  // RFC 9112, section 2.2: one empty line is forgiven
    blank_skipped_ = true;
  }
  in_.erase(0, parser_->feed(in_));
  using enum RequestParser::State;
  if (!head_checked_ && (parser_->state() == kBody || parser_->state() == kDone)) {
    on_head();
    if (phase_ != Phase::kRead) return;  // it is answered
    if (parser_->state() == kBody) begin_body();
  }
  if (parser_->state() == kFailed) return refuse(parser_->error());
  if (body_started_)
    if (Status room = body_share_->grow_to(parser_->body_bytes()); !room.ok())
      return refuse({room.code() == StatusCode::kTooLarge ? 413 : 503, room.message()});
  if (parser_->state() == kDone) dispatch();
}

void Connection::begin_body() {
  body_started_ = true;
  body_share_ = std::make_shared<MemoryShare>(core_->bodies);
  read_deadline_ = after(core_->config.body_timeout_s);
  arm_timer();
  if (parser_->head().expect_continue && in_.empty()) send_continue();
  in_.erase(0, parser_->feed(in_));
}

void Connection::send_continue() {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  std::lock_guard lock(outbox_.mutex);
  outbox_.pending += kContinue;
  outbox_.unsent += kContinue.size();
  wake_writer();
}

// Whatever can be said against a request before its body has come is said now.
void Connection::on_head() {
  const RequestHead& head = parser_->head();
  head_checked_ = true;
  has_worth_ = false;
  close_after_answer_ =
      !head.keep_alive || core_->config.idle_timeout_s <= 0 || ticket_.seat == Places::Seat::kSpare;
  const bool has_body = head.has_body();
  frame_ = {};
  frame_.close_delimited = !head.http_1_1;
  request_ = parser_->take_head();
  request_.remote_address = remote_;
  request_.path = core_->route_path(std::move(request_.path));
  frame_.head_only = request_.method == "HEAD";
  // The query may hold secrets.
  log_line_.clear();
  if (core_->logs_access(request_.path) && log_enabled(LogLevel::kInfo))
    log_line_ =
        fmt::format("{} - \"{} {} HTTP/{}\"", remote_, request_.method,
                    request_.target.substr(0, request_.target.find('?')), head.http_1_1 ? "1.1" : "1.0");
  std::optional<HttpResponse> early;
  try {
    early = check_request();
    tenant_ = tenant_of(request_);
  } catch (const std::exception& e) {
    log_error("The filter of a request failed: {}", e.what());
    early = core_->error(500, "Internal Server Error");
  }
  if (!early) return parser_->lower_body_limit(route_->options.body_bytes_max);
  close_after_answer_ |= has_body;
  begin_exchange()->send(std::move(*early));
}

std::optional<HttpResponse> Connection::check_request() {
  if (core_->config.request_id_header) append_header(&frame_.extra, "x-request-id", request_id_for(request_));
  if (auto preflight = cors_preflight(core_->config.cors, request_)) return preflight;
  frame_.extra += cors_headers(core_->config.cors, request_);
  for (const auto& filter : core_->filters)
    if (auto response = filter(request_)) return response;
  HttpResponse refusal;
  route_ = core_->find_route(request_, &refusal);
  // A probe has no body: one that never comes would hold the seat.
  const bool is_probe = route_ != nullptr && route_->options.probe && !parser_->head().has_body();
  if (ticket_.seat == Places::Seat::kSpare && !is_probe)
    return core_->error(503, "The server has too many connections: try again later.");
  if (route_ == nullptr) return refusal;
  if (route_->options.check) return route_->options.check(request_);
  return std::nullopt;
}

std::shared_ptr<Exchange> Connection::begin_exchange() {
  phase_ = Phase::kAnswer;
  read_deadline_ = kNever;
  note_wait();
  frame_.close = close_after_answer_;
  asked_at_ = Clock::now();
  ++core_->num_requests;
  exchange_ = {.method = request_.method,
               .route = core_->route_of(request_.path),
               .request_bytes = request_.body.size()};
  auto exchange = std::make_shared<Exchange>(shared_from_this(), std::move(frame_));
  answering_ = exchange;
  return exchange;
}

void Connection::dispatch() {
  has_worth_ = !route_->options.probe;
  request_.body = parser_->take_body();
  if (body_share_ == nullptr && !request_.body.empty())  // it came whole, with its head
    body_share_ = std::make_shared<MemoryShare>(core_->bodies);
  request_.memory = std::move(body_share_);
  std::shared_ptr<Exchange> exchange = begin_exchange();
  try {
    route_->handler(std::move(request_), std::move(exchange));
  } catch (const std::exception& e) {
    log_error("The handler of a request failed: {}", e.what());  // and the Exchange, let go, answers 500
  }
}

void Connection::refuse(HttpError error) {
  phase_ = Phase::kAnswer;
  has_worth_ = false;
  read_deadline_ = kNever;
  close_after_answer_ = true;
  note_wait();
  in_.clear();
  body_share_.reset();
  parser_.reset();  // with what has come of the body
  log_line_.clear();
  log_debug("{}: refused with {}: {}", remote_, error.status, error.message);
  asked_at_ = Clock::now();
  ++core_->num_requests;
  exchange_ = {.status = error.status};
  AnswerFrame frame;
  frame.close = true;
  std::string bytes = render_answer(core_->error(error.status, error.message), frame);
  std::lock_guard lock(outbox_.mutex);
  outbox_.pending += bytes;
  outbox_.unsent += bytes.size();
  outbox_.complete = true;
  wake_writer();
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  std::function<void()> callback;
  bool complete;
  int status;
  {
    std::lock_guard lock(outbox_.mutex);
    outbox_.closed = true;
    std::string().swap(outbox_.pending);
    complete = outbox_.complete;
    status = std::exchange(outbox_.started_status, 0);
    callback.swap(outbox_.on_close);
  }
  note_status(status);
  report();
  stream_->close();
  timer_.cancel();
  resume_.cancel();
  core_->places.end_wait(this);
  if (io_->connections().erase(this) > 0) core_->places.give_back(ticket_.seat);
  if (!callback || complete) return;
  try {
    callback();
  } catch (const std::exception& e) {
    log_error("A callback for a client that left failed: {}", e.what());
  }
}

void Connection::drain() {
  if (has_begun_request()) return refuse({503, "The server is shutting down: try again later."});
  if (phase_ == Phase::kRead) close();
}

void Connection::cut_off(const HttpResponse& answer) {
  UseOfReserve to_tell;
  try {
    if (auto exchange = answering_.lock()) exchange->send(answer);  // unless there is one
  } catch (const std::exception& e) {
    log_error("{} could not be told that its request is cut off: {}", remote_, e.what());
  }
}

void Connection::arm_timer() {
  auto next = std::min({read_deadline_, write_deadline_, keep_alive_at_, stalls_at_});
  if (closed_ || next >= armed_for_) return;  // a timer that fires early looks again
  armed_for_ = next;
  timer_.expires_at(next);
  timer_.async_wait([self = shared_from_this()](error_code ec) {
    if (ec || self->closed_) return;
    self->armed_for_ = kNever;
    self->on_timer();
  });
}

void Connection::on_timer() {
  auto now = Clock::now();
  if (now >= write_deadline_) {
    log_debug("{}: cut off: it takes nothing", remote_);
    return close();
  }
  if (now >= keep_alive_at_) send_keep_alive();
  if (now >= stalls_at_) {
    stalls_at_ = kNever;
    stalled_ = true;
    note_wait();
  }
  if (now >= read_deadline_) {
    if (!has_begun_request()) return close();
    refuse({408, body_started_ ? "The request's body did not arrive in time."
                               : "The request's headers did not arrive in time."});
  }
  arm_timer();
}

}  // namespace pagoda
