// A queue meter, its clock, and guests who hold places in it: for the tests of the queue.
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/queue_meter.h"

namespace pagoda::testing {

class QueueGuests {
 public:
  using Lack = QueueMeter::Lack;
  QueueGuests(int32_t max_choices, int64_t max_tokens) : meter(max_choices, max_tokens) {}

  struct Guest {
    Tenant tenant;
    std::shared_ptr<QueueClaim> claim;
    int32_t choices = 0;
    int64_t tokens = 0;
    bool begun = false;
    QueueMeter::Answer lost;  // lacking: its places went to somebody else
  };

  Time after(double seconds) {
    now += std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(seconds));
    return now;
  }
  // Comes in as `name`, if there is room.
  QueueMeter::Answer come(int name, int32_t choices, const Tenant& tenant = {}) {
    Guest guest{tenant, nullptr, choices};
    QueueMeter::Answer answer = meter.take_choices(
        tenant, choices, now,
        [this, name](const QueueMeter::Answer& why) {
          guests.at(name).lost = why;
          lost.push_back(name);
        },
        &guest.claim);
    if (answer.lack == Lack::kNothing) guests[name] = std::move(guest);
    return answer;
  }
  QueueMeter::Answer tokens(int name, int64_t count) {
    Guest& guest = guests.at(name);
    QueueMeter::Answer answer = meter.take_tokens(guest.claim.get(), count, now);
    if (answer.lack == Lack::kNothing) guest.tokens += count;
    return answer;
  }
  void begin(int name) {
    Guest& guest = guests.at(name);
    meter.begin(guest.claim.get(), guest.choices);
    guest.begun = true;
  }
  void go(int name, bool served = true) {
    Guest& guest = guests.at(name);
    meter.give_back(guest.claim.get(), guest.choices, guest.tokens, !guest.begun, served, now);
    guests.erase(name);
  }
  bool has(int name) const {
    auto it = guests.find(name);
    return it != guests.end() && it->second.lost.lack == Lack::kNothing;
  }
  // What the guests of a tenant hold who have not lost it.
  int64_t held(uint64_t tenant) const {
    int64_t sum = 0;
    for (const auto& [name, guest] : guests)
      if (guest.tenant.key == tenant && has(name)) sum += guest.choices;
    return sum;
  }

  QueueMeter meter;
  Time now = Time{} + std::chrono::hours(1);
  std::map<int, Guest> guests;
  std::vector<int> lost;  // names, in the order in which they lost their places
};

}  // namespace pagoda::testing
