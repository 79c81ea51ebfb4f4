// A queue limiter, its clock, and requests that hold places in it: for the tests of the queue.
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/admission_limiter.h"

namespace pagoda::testing {

class LimiterHarness {
 public:
  using Rejection = AdmissionLimiter::Rejection;
  LimiterHarness(int32_t max_choices, int64_t max_tokens) : limiter(max_choices, max_tokens) {}

  struct Holder {
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
    Holder holder{tenant, nullptr, choices};
    AdmissionLimiter::Admission answer = limiter.try_acquire_choices(
        tenant, choices, now,
        [this, name](const AdmissionLimiter::Admission& why) {
          holders.at(name).lost = why;
          lost.push_back(name);
        },
        &holder.claim);
    if (answer.rejection == Rejection::kNone) holders[name] = std::move(holder);
    return answer;
  }
  AdmissionLimiter::Admission tokens(int name, int64_t count) {
    Holder& holder = holders.at(name);
    AdmissionLimiter::Admission answer = limiter.try_acquire_tokens(holder.claim.get(), count, now);
    if (answer.rejection == Rejection::kNone) holder.tokens += count;
    return answer;
  }
  void begin(int name) {
    Holder& holder = holders.at(name);
    limiter.begin(holder.claim.get(), holder.choices);
    holder.begun = true;
  }
  void go(int name, bool served = true) {
    Holder& holder = holders.at(name);
    limiter.give_back(holder.claim.get(), holder.choices, holder.tokens, !holder.begun, served, now);
    holders.erase(name);
  }
  bool has(int name) const {
    auto it = holders.find(name);
    return it != holders.end() && it->second.lost.rejection == Rejection::kNone;
  }
  // What the requests of a tenant hold that have not lost it.
  int64_t held(uint64_t tenant) const {
    int64_t sum = 0;
    for (const auto& [name, holder] : holders)
      if (holder.tenant.key == tenant && has(name)) sum += holder.choices;
    return sum;
  }

  AdmissionLimiter limiter;
  Time now = Time{} + std::chrono::hours(1);
  std::map<int, Holder> holders;
  std::vector<int> lost;  // names, in the order in which they lost their places
};

}  // namespace pagoda::testing
