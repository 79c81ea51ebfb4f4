#include "http/places.h"

#include "http/connection.h"

namespace pagoda {

Places::Seat Places::take(std::shared_ptr<Connection>* leaves) {
  std::lock_guard lock(mutex_);
  const int room[2] = {limit_, kSpare};
  for (Seat seat : {Seat::kOrdinary, Seat::kSpare}) {
    const std::size_t i = index(seat);
    if (taken_[i] >= room[i]) {
      if (waiting_[i].empty()) continue;
      Connection* longest = waiting_[i].front();
      waiting_[i].pop_front();
      longest->ticket().waits = false;
      *leaves = longest->weak_from_this().lock();
    }
    ++taken_[i];
    return seat;
  }
  return Seat::kNone;
}

void Places::give_back(Seat seat) {
  if (seat == Seat::kNone) return;
  std::lock_guard lock(mutex_);
  --taken_[index(seat)];
}

int Places::taken() const {
  std::lock_guard lock(mutex_);
  return taken_[0] + taken_[1];
}

void Places::begin_wait(Connection* connection) {
  std::lock_guard lock(mutex_);
  Ticket& ticket = connection->ticket();
  if (ticket.waits) return;
  auto& waiting = waiting_[index(ticket.seat)];
  ticket.place = waiting.insert(waiting.end(), connection);
  ticket.waits = true;
}

void Places::end_wait(Connection* connection) {
  std::lock_guard lock(mutex_);
  Ticket& ticket = connection->ticket();
  if (!ticket.waits) return;
  waiting_[index(ticket.seat)].erase(ticket.place);
  ticket.waits = false;
}

}  // namespace pagoda
