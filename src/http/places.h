// Who may stay when there are more connections than places. A connection that waits for a request gives its
// place to a newcomer, the one that has waited longest first; where all others are at work, the newcomer gets
// a spare place, on which probes are answered and everybody else is told that the server is full. Internal to
// this room. Threads: any.
#pragma once
#include <list>
#include <memory>
#include <mutex>

namespace pagoda {

class Connection;

class Places {
 public:
  static constexpr int kSpare = 64;
  enum class Seat { kNone, kOrdinary, kSpare };
  // One connection's, guarded by the mutex of Places.
  struct Ticket {
    Seat seat = Seat::kNone;
    bool waits = false;
    std::list<Connection*>::iterator place;
  };

  void set_limit(int limit) { limit_ = limit; }
  // kNone: there is no room at all. `*leaves`, if set, has to close for the one that comes.
  Seat take(std::shared_ptr<Connection>* leaves);
  void give_back(Seat seat);
  int taken() const;

  // While a connection has not the whole head of a request. Idempotent.
  void begin_wait(Connection* connection);
  void end_wait(Connection* connection);

 private:
  static std::size_t index(Seat seat) { return seat == Seat::kOrdinary ? 0 : 1; }

  mutable std::mutex mutex_;
  int limit_ = 0;
  int taken_[2] = {0, 0};              // by seat
  std::list<Connection*> waiting_[2];  // by seat; the longest wait first
};

}  // namespace pagoda
