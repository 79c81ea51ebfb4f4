// What a Connection does with an answer: writes what its outbox holds, tells its observer, and goes on to the
// next request or closes.
#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <new>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "http/connection.h"
#include "http/exchange.h"

namespace pagoda {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;  // per write, so that progress is seen
constexpr std::chrono::milliseconds kLingerTime{1000};
constexpr double kSlowestClient = 16 * 1024;  // bytes per second; a slower one keeps the server waiting

}  // namespace

// Without memory for this the client would wait for ever for what the outbox holds.
void Connection::wake_writer() {
  if (outbox_.wake_posted) return;
  const bool posted =
      insist([this] { outbox_.wake_posted = io_->post([self = shared_from_this()] { self->on_wake(); }); });
  if (!posted) throw std::bad_alloc();
}

void Connection::on_wake() {
  UseOfReserve to_answer;
  bool cut;
  int status;
  {
    std::lock_guard lock(outbox_.mutex);
    outbox_.wake_posted = false;
    cut = outbox_.cut;
    status = std::exchange(outbox_.started_status, 0);
  }
  note_status(status);
  if (closed_) return;
  if (cut) return close();
  if (writing_) return;
  writing_ = true;
  spawn(write_loop(shared_from_this()));
}

void Connection::note_status(int status) {
  if (status == 0) return;
  exchange_.status = status;
  if (!log_line_.empty()) log_info("{} {} {}", log_line_, status, reason_phrase(status));
}

void Connection::report() {
  if (asked_at_ == Clock::time_point{}) return;
  exchange_.seconds = std::chrono::duration<double>(Clock::now() - asked_at_).count();
  asked_at_ = {};
  --core_->num_requests;
  constexpr int kClientClosedRequest = 499;  // as nginx has it
  if (exchange_.status == 0) exchange_.status = kClientClosedRequest;
  if (core_->observer) core_->observer(exchange_);
}

asio::awaitable<void> Connection::write_loop(std::shared_ptr<Connection> self) {
  Outbox& box = self->outbox_;
  std::string& out = self->out_;
  for (;;) {
    bool complete, keep_alive;
    {
      std::lock_guard lock(box.mutex);
      keep_alive = !box.keep_alive.empty();
      out.clear();
      out.swap(box.pending);
      complete = box.complete;
    }
    if (out.empty()) {
      self->writing_ = false;
      if (complete)
        self->answer_done();
      else if (keep_alive) {
        self->keep_alive_at_ = after(self->core_->config.sse_keep_alive_s);
        self->arm_timer();
      }
      co_return;
    }
    self->keep_alive_at_ = kNever;
    for (std::size_t sent = 0; sent < out.size();) {
      // On a spare seat the whole answer has that time: a client that takes it byte by byte keeps no probe
      // out.
      if (self->ticket_.seat != Places::Seat::kSpare || self->write_deadline_ == kNever)
        self->write_deadline_ = after(self->scaled_timeout(self->core_->config.write_timeout_s));
      const auto began = Clock::now();
      self->stalls_at_ = began + self->write_time_left_;
      self->arm_timer();
      error_code ec;
      asio::const_buffer buffer(out.data() + sent, std::min(out.size() - sent, kWriteBytes));
      std::size_t n = co_await self->stream_->write_some(buffer, ec);
      if (self->closed_) co_return;
      if (ec) {
        self->close();
        co_return;
      }
      sent += n;
      self->note_taken(n, Clock::now() - began);
      self->exchange_.response_bytes += n;
      std::function<void()> go_on;
      {
        std::lock_guard lock(box.mutex);
        box.unsent -= n;
        if (box.unsent <= self->core_->config.write_buffer_max / 2)
          go_on = std::exchange(box.on_writable, {});
      }
      if (go_on) insist([&] { self->io_->post(go_on); });
    }
    self->write_deadline_ = kNever;
  }
}

// The time that a client has to take more is used up by waiting and comes back with what it takes: a
// client that takes a little now and then, or asks for many small answers, counts as one that takes nothing.
void Connection::note_taken(std::size_t n, Clock::duration waited) {
  const Clock::duration earned = seconds_of(static_cast<double>(n) / kSlowestClient);
  write_time_left_ = std::clamp(write_time_left_ - waited + earned, Clock::duration::zero(),
                                seconds_of(core_->config.write_grace_s));
  stalls_at_ = kNever;
  if (std::exchange(stalled_, false)) note_wait();
}

void Connection::send_keep_alive() {
  keep_alive_at_ = kNever;
  std::lock_guard lock(outbox_.mutex);
  outbox_.pending += outbox_.keep_alive;
  outbox_.unsent += outbox_.keep_alive.size();
  wake_writer();
}

void Connection::answer_done() {
  int status;
  {
    std::lock_guard lock(outbox_.mutex);
    status = std::exchange(outbox_.started_status, 0);
    outbox_.complete = false;
    if (outbox_.pending.capacity() > kWriteBytes)
      std::string().swap(outbox_.pending);  // an idle client holds no large answer's memory
  }
  if (out_.capacity() > kWriteBytes) std::string().swap(out_);
  note_status(status);
  report();
  ++num_answers_;
  if (close_after_answer_ || input_ended_ || core_->draining) return start_linger();
  await_request(in_.empty() ? core_->config.idle_timeout_s : core_->config.header_timeout_s);
  resume_.cancel();
  if (!in_.empty()) advance();
  note_wait();
}

// Closing at once would reset the connection if bytes of the client are still under way, and the client might
// then never see the answer (RFC 9112, section 9.6).
void Connection::start_linger() {
  if (input_ended_) return close();
  phase_ = Phase::kLinger;
  in_.clear();
  read_deadline_ = Clock::now() + kLingerTime;
  note_wait();
  arm_timer();
  resume_.cancel();
  spawn(linger(shared_from_this()));
}

asio::awaitable<void> Connection::linger(std::shared_ptr<Connection> self) {
  co_await self->stream_->finish_writing();
}

}  // namespace pagoda
