// One client's connection: two coroutines over a ByteStream. The reader always has a read under way, so that
// a client that leaves is noticed while its answer is being made; the writer runs while there is something to
// write. Requests are answered one at a time, in order; what a client sends meanwhile is kept, up to a bound.
// Internal to this room. Threads: everything runs on one IoThread, but for the Outbox, which Exchange (the
// ResponseWriter) fills from any thread. Invariant: on_close has run, or the answer is complete, before the
// connection forgets an Exchange.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "http/core.h"
#include "http/io_thread.h"
#include "http/request_parser.h"
#include "http/response.h"

namespace pagoda {

class Exchange;

// The part of a connection that producers on any thread touch: bytes waiting to be written, and the state of
// the one answer that is being made. Everything else of a connection belongs to its I/O thread.
struct Outbox {
  std::mutex mutex;
  // All below under the mutex.
  std::string pending;       // not yet taken by the writing coroutine
  std::size_t unsent = 0;    // pending and what that coroutine still holds
  bool wake_posted = false;  // many pieces, one wake-up
  bool complete = false;     // the answer's last byte is in pending or beyond
  bool cut = false;          // the producer or a limit asks for the connection to be cut
  bool closed = false;
  std::function<void()> on_close;     // of the answer under way
  std::function<void()> on_writable;  // of its producer, which waits
  std::string keep_alive;             // sent when a stream is silent for long; empty: nothing is
  int started_status = 0;             // of an answer whose head is written and not yet logged
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // On a spare seat probes are answered, once; every other request gets 503.
  Connection(std::shared_ptr<ServerCore> core, std::shared_ptr<IoThread> io,
             std::unique_ptr<ByteStream> stream, std::string remote, Places::Seat seat);
  ~Connection();

  // On the I/O thread.
  void start();
  void close();
  void drain();
  // A request without an answer hears this one.
  void cut_off(const HttpResponse& answer);
  // Another takes the place: closes, unless it is no longer for the client to go on.
  void leave();

  // Any thread, for Exchange.
  Outbox& outbox() { return outbox_; }
  IoThread& io() { return *io_; }
  Places::Ticket& ticket() { return ticket_; }  // for Places
  const ServerCore& core() const { return *core_; }
  // Has the writer look at the outbox soon. Requires: outbox().mutex is held.
  void wake_writer();

 private:
  using Clock = std::chrono::steady_clock;
  enum class Phase {
    kRead,    // a request's head or body is awaited
    kAnswer,  // a handler has it, or its answer is on its way
    kLinger,  // the last answer is out; what still arrives is thrown away until the client closes
  };

  static boost::asio::awaitable<void> read_loop(std::shared_ptr<Connection> self);
  static boost::asio::awaitable<void> write_loop(std::shared_ptr<Connection> self);
  static boost::asio::awaitable<void> linger(std::shared_ptr<Connection> self);
  void spawn(boost::asio::awaitable<void> work);
  void await_request(double seconds);
  void on_bytes(std::size_t n);
  void on_input_end();
  void advance();
  void send_continue();
  bool awaits_head() const;
  bool waits_for_client() const;
  void note_wait();
  std::uint64_t tenant_of(const HttpRequest& request) const;
  bool has_begun_request() const;  // and not all of it has come
  void on_head();
  std::optional<HttpResponse> check_request();
  void begin_body();
  std::shared_ptr<Exchange> begin_exchange();
  void dispatch();
  void refuse(HttpError error);
  void on_wake();
  void send_keep_alive();
  void note_taken(std::size_t n, Clock::duration waited);
  void note_status(int status);
  void report();
  void answer_done();
  void start_linger();

  static constexpr auto kNever = Clock::time_point::max();
  static Clock::duration seconds_of(double seconds);
  static Clock::time_point after(double seconds);
  // For this client: less on a spare seat.
  double scaled_timeout(double seconds) const;
  void arm_timer();
  void on_timer();

  std::shared_ptr<ServerCore> core_;
  std::shared_ptr<IoThread> io_;
  std::unique_ptr<ByteStream> stream_;
  std::string remote_;
  Places::Ticket ticket_;
  std::uint64_t tenant_ = 0;  // whose it is, as far as its last head told
  Outbox outbox_;

  Phase phase_ = Phase::kRead;
  // The answer is worth a place: to a whole request, on a route that is no probe's.
  bool has_worth_ = false;
  bool closed_ = false, writing_ = false, input_ended_ = false, close_after_answer_ = false,
       head_checked_ = false, body_started_ = false, blank_skipped_ = false, stalled_ = false;
  std::unique_ptr<char[]> read_buffer_;
  std::string in_;   // received, not yet parsed
  std::string out_;  // being written
  std::unique_ptr<RequestParser> parser_;
  // Of the request under way, once its head has come.
  HttpRequest request_;
  const ServerCore::Route* route_ = nullptr;
  std::shared_ptr<MemoryShare> body_share_;
  AnswerFrame frame_;
  std::weak_ptr<Exchange> answering_;
  int num_answers_ = 0;
  std::size_t discarded_ = 0;
  HttpExchangeStats exchange_;    // the one under way ...
  Clock::time_point asked_at_{};  // ... and since when; unset: none is
  std::string log_line_;          // `127.0.0.1:1 - "GET / HTTP/1.1"`; empty: not logged

  boost::asio::steady_timer timer_, resume_;
  Clock::time_point read_deadline_, write_deadline_, keep_alive_at_, armed_for_;
  // Until when the answer's bytes may wait for the client; it earns time by taking some.
  Clock::time_point stalls_at_;
  Clock::duration write_time_left_;
};

}  // namespace pagoda
