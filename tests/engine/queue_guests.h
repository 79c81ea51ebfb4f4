// A queue limiter, its clock, and guests who hold places in it: for the tests of the queue.
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/admission_limiter.h"

namespace pagoda::testing {

class QueueGuests {
 public:
  using Rejection = AdmissionLimiter::Rejection;
  QueueGuests(int32_t max_choices, int64_t max_tokens) : limiter(max_choices, max_tokens) {}

  struct Guest {
    Tenant tenant;
    std::shared_ptr<QueueClaim> claim;
    int32_t choices = 0;
    int64_t tokens = 0;
    bool begun = false;
    AdmissionLimiter::Admission lost;  // lacking: its places went to another
  };

  Time after(double seconds) {
    now += std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(seconds));
    return now;
  }
  // Comes in as `name`, if there is room.
  AdmissionLimiter::Admission come(int name, int32_t choices, const Tenant& tenant = {}) {
    Guest guest{tenant, nullptr, choices};
    AdmissionLimiter::Admission answer = limiter.try_acquire_choices(
        tenant, choices, now,
        [this, name](const AdmissionLimiter::Admission& why) {
          guests.at(name).lost = why;
          lost.push_back(name);
        },
        &guest.claim);
    if (answer.rejection == Rejection::kNone) guests[name] = std::move(guest);
    return answer;
  }
  AdmissionLimiter::Admission tokens(int name, int64_t count) {
    Guest& guest = guests.at(name);
    AdmissionLimiter::Admission answer = limiter.try_acquire_tokens(guest.claim.get(), count, now);
    if (answer.rejection == Rejection::kNone) guest.tokens += count;
    return answer;
  }
  void begin(int name) {
    Guest& guest = guests.at(name);
    limiter.begin(guest.claim.get(), guest.choices);
    guest.begun = true;
  }
  void go(int name, bool served = true) {
    Guest& guest = guests.at(name);
    limiter.give_back(guest.claim.get(), guest.choices, guest.tokens, !guest.begun, served, now);
    guests.erase(name);
  }
  bool has(int name) const {
    auto it = guests.find(name);
    return it != guests.end() && it->second.lost.rejection == Rejection::kNone;
  }
  // What the guests of a tenant hold who have not lost it.
  int64_t held(uint64_t tenant) const {
    int64_t sum = 0;
    for (const auto& [name, guest] : guests)
      if (guest.tenant.key == tenant && has(name)) sum += guest.choices;
    return sum;
  }

  AdmissionLimiter limiter;
  Time now = Time{} + std::chrono::hours(1);
  std::map<int, Guest> guests;
  std::vector<int> lost;  // names, in the order in which they lost their places
};

}  // namespace pagoda::testing
