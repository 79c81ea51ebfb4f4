// The part of a connection that producers on any thread touch: bytes waiting to be written, and the state of
// the one answer that is being made. Everything else of a connection belongs to its I/O thread. Internal to
// this room.
#pragma once
#include <functional>
#include <mutex>
#include <string>

namespace pagoda {

struct Outbox {
  std::mutex mutex;
  // All below under the mutex.
  std::string pending;       // not yet taken by the writing coroutine
  std::size_t unsent = 0;    // pending and what that coroutine still holds
  bool wake_posted = false;  // many pieces, one wake-up
  bool complete = false;     // the answer's last byte is in pending or beyond
  bool cut = false;          // the producer or a limit asks for the connection to be cut
  bool closed = false;
  std::function<void()> on_close;  // of the answer under way
  std::string keep_alive;          // sent when a stream is silent for long; empty: nothing is
  int started_status = 0;          // of an answer whose head is written and not yet logged
};

}  // namespace pagoda
