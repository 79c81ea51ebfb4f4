#include "http/places.h"

#include <iterator>
#include <utility>

#include "http/connection.h"

namespace pagoda {

Places::Seat Places::take(std::shared_ptr<Connection>* leaves) {
  std::lock_guard lock(mutex_);
  for (Seat seat : {Seat::kOrdinary, Seat::kSpare}) {
    Room& places = room(seat);
    if (places.taken >= (seat == Seat::kOrdinary ? limit_ : kSpare)) {
      if (places.ranks.empty()) continue;
      Connection* longest = places.lines.at(places.ranks.begin()->tenant).front().connection;
      leave_line(&longest->ticket());
      *leaves = longest->weak_from_this().lock();
    }
    ++places.taken;
    return seat;
  }
  return Seat::kNone;
}

void Places::give_back(Seat seat) {
  if (seat == Seat::kNone) return;
  std::lock_guard lock(mutex_);
  --room(seat).taken;
}

int Places::taken() const {
  std::lock_guard lock(mutex_);
  return rooms_[0].taken + rooms_[1].taken;
}

Places::Rank Places::rank_of(std::uint64_t tenant, const Line& line) {
  return {line.size(), line.front().turn, tenant};
}

void Places::begin_wait(Connection* connection, std::uint64_t tenant) {
  std::lock_guard lock(mutex_);
  Ticket& ticket = connection->ticket();
  leave_line(&ticket);
  Room& places = room(ticket.seat);
  Line last{{num_waits_++, connection}};
  Line& line = places.lines[tenant];
  if (line.empty()) {
    places.ranks.insert(rank_of(tenant, last));
    line.splice(line.end(), last);
  } else {
    auto rank = places.ranks.extract(rank_of(tenant, line));
    line.splice(line.end(), last);
    rank.value() = rank_of(tenant, line);
    places.ranks.insert(std::move(rank));
  }
  ticket.place = std::prev(line.end());
  ticket.tenant = tenant;
  ticket.waits = true;
}

void Places::end_wait(Connection* connection) {
  std::lock_guard lock(mutex_);
  leave_line(&connection->ticket());
}

void Places::leave_line(Ticket* ticket) {
  if (!std::exchange(ticket->waits, false)) return;
  Room& places = room(ticket->seat);
  auto line = places.lines.find(ticket->tenant);
  auto rank = places.ranks.extract(rank_of(ticket->tenant, line->second));
  line->second.erase(ticket->place);
  if (line->second.empty()) {
    places.lines.erase(line);
    return;
  }
  rank.value() = rank_of(ticket->tenant, line->second);
  places.ranks.insert(std::move(rank));
}

}  // namespace pagoda
