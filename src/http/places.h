// Which connections stay when there are more than places. A connection that waits for its client gives its
// place to a new one: of the tenant with the most idle connections the least recently active (LRU), so that a
// tenant that opens many does not keep the others out. Where all are at work, the new one gets a spare place,
// on which probes are answered and all other requests are told that the server is full. Internal to this
// room. Threads: any.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

namespace pagoda {

class Connection;

class Places {
  struct Waiter {
    std::uint64_t turn;
    Connection* connection;
  };

 public:
  static constexpr int kSpare = 64;
  enum class Seat { kNone, kOrdinary, kSpare };
  // One connection's; but for the seat, guarded by the mutex of Places.
  struct Ticket {
    Seat seat = Seat::kNone;
    bool waits = false;
    std::uint64_t tenant = 0;  // while it waits
    std::list<Waiter>::iterator place;
  };

  void set_limit(int limit) { limit_ = limit; }
  // kNone: there is no room at all. `*leaves`, if set, has to close for the one that comes.
  Seat take(std::shared_ptr<Connection>* leaves);
  void give_back(Seat seat);
  int taken() const;

  // While it is for the client to go on: to send a request's head or its body, to take an answer, or to
  // close. A connection that waits already begins anew.
  void begin_wait(Connection* connection, std::uint64_t tenant);
  // Idempotent; needs no memory.
  void end_wait(Connection* connection);

 private:
  // A tenant's, the longest wait first.
  using Line = std::list<Waiter>;
  // Which tenant's turn it is to give: the most that wait, then the longest wait.
  struct Rank {
    std::size_t num_waiting;
    std::uint64_t turn, tenant;
    bool operator<(const Rank& other) const {
      return num_waiting != other.num_waiting ? num_waiting > other.num_waiting : turn < other.turn;
    }
  };
  struct Room {
    int taken = 0;
    std::unordered_map<std::uint64_t, Line> lines;  // by tenant
    std::set<Rank> ranks;                           // of the lines that are not empty
  };

  static Rank rank_of(std::uint64_t tenant, const Line& line);
  Room& room(Seat seat) { return rooms_[seat == Seat::kOrdinary ? 0 : 1]; }
  void leave_line(Ticket* ticket);

  mutable std::mutex mutex_;
  int limit_ = 0;
  std::uint64_t num_waits_ = 0;
  Room rooms_[2];  // the ordinary places and the spare ones
};

}  // namespace pagoda
