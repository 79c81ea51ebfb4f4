// How full the engine's queue is, whose it is, and how fast it empties: bounds on the choices and on the
// prompt tokens that wait or run, shared fairly among tenants, and the time until there is room again, from
// what has left lately. Thread-safe; one short lock per request. Private to the engine room.
//
// While there is room every request is admitted. When a resource (choices or tokens) lacks, one is admitted
// all the same if with it its tenant holds no more than its share: the bound, divided among the tenants that
// hold something, by weight. The tenant with most of the resource by weight gives way: its newest waiting
// request that holds some ends. What runs is left to its end; while only that stands in the way the request
// is admitted beyond the bound. Within one tenant its sources share in the same way what the tenant may have,
// but none passes the bound for that. So no tenant that holds less than others is refused for their sake:
// max-min fairness (Bertsekas, Gallager, "Data Networks", 6.5.2).
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "contract/tenant.h"
#include "contract/types.h"

namespace pagoda {

// Amount per second of busy time, where what is old counts less and less (exponentially weighted, over
// about kMemory seconds). Time without active requests says nothing of the speed and does not pass.
class DrainRate {
 public:
  void pass(double busy_s);
  void leave(double amount) { amount_ += amount; }
  // Seconds until `amount` more will have left. Before anything has left: at least as long again as nothing
  // did.
  double seconds_for(double amount) const;

 private:
  static constexpr double kMemory = 20;
  double amount_ = 0, seconds_ = 0;  // both decayed, so that their quotient is a rate from the start
};

class QueueClaim;  // what one request holds; lives until all of it is given back

class AdmissionLimiter {
 public:
  // max_tokens 0: no bound.
  AdmissionLimiter(int32_t max_choices, int64_t max_tokens);
  ~AdmissionLimiter();

  enum class Rejection : uint8_t { kChoices, kTokens, kNone };
  // What was lacking, if anything, and when it may be there: 1 to 60 s, which is how long a client is told to
  // wait.
  struct Admission {
    Rejection rejection = Rejection::kNone;
    int retry_after_ms = 0;
  };
  struct Source;
  struct Member;
  using Held = std::array<int64_t, 2>;  // by Rejection: choices, tokens

  // Called, once, when a claim has lost its places to another tenant: without the lock, on the thread of the
  // request that gets them.
  using GiveWay = std::function<void(const Admission&)>;

  // Takes places; all of `choices` wait. Also lacking where the tokens are all taken, though it is not known
  // yet how many will be wanted. *claim is set when nothing lacks.
  Admission try_acquire_choices(const Tenant& tenant, int32_t choices, Time now, GiveWay give_way,
                                std::shared_ptr<QueueClaim>* claim);
  // Errors leave the claim as it is. One that has lost its places gets no more.
  Admission try_acquire_tokens(QueueClaim* claim, int64_t tokens, Time now);
  // It was let in at another tenant's cost, or beyond the bound.
  bool is_owed(const QueueClaim* claim) const;
  // So many of its choices wait no longer.
  void begin(QueueClaim* claim, int32_t choices);
  // `waiting`: they have never begun. `served`: they were in the engine; what was given up before that says
  // nothing of its speed.
  void give_back(QueueClaim* claim, int32_t choices, int64_t tokens, bool waiting, bool served, Time now);

  int32_t max_choices() const { return static_cast<int32_t>(max_[0]); }
  int64_t max_tokens() const { return max_[1]; }
  // What is held in all.
  int64_t num_choices() const;

 private:
  struct Lost {  // a claim whose request has to be told, after the lock
    GiveWay give_way;
    Admission answer;
  };
  struct Chosen {  // a claim that would give way, and what it held of what lacks
    QueueClaim* claim = nullptr;
    int64_t amount = 0;
  };

  void pass_time(Time now);
  Admission lacking(Rejection what, int64_t amount) const;
  bool has_room(Rejection what, int64_t amount) const;
  // With so much more the tenant would not hold more than its share, and another one would by weight.
  bool may_ask(Rejection what, const Source& source, int64_t amount) const;
  // Makes room for `amount` more of `what`, at others' cost where the newcomer may ask for it; false: it
  // lacks, and no claim has lost anything.
  bool make_room(Rejection what, Source* source, int64_t amount, std::vector<Lost>* lost);
  // Among tenants, and within one: whose waiting requests would give way. What they hold is taken out of the
  // accounts; false: it is not enough.
  bool choose_among(Rejection what, const Source& source, int64_t amount, std::vector<Chosen>* chosen);
  bool choose_within(Rejection what, const Source& source, int64_t amount, std::vector<Chosen>* chosen);
  void choose_newest(Rejection what, const Source& source, std::vector<Chosen>* chosen);
  // The member with the most, and more than `above`, of those with waiting requests that hold some.
  Member* greedier(Rejection what, const Member& newcomer, double above, bool waits) const;
  static Source* greediest(Rejection what, Member* member, const Source* newcomer);
  void displace(Rejection what, QueueClaim* claim, std::vector<Lost>* lost) noexcept;
  static void tell(const std::vector<Lost>& lost);  // without the lock; throws nothing
  // `place`: a list of the claim alone.
  void enter(QueueClaim* claim, std::list<QueueClaim*>* place, Source* source, int32_t choices) noexcept;
  Source* find(const Tenant& tenant);
  void forget_if_empty(Source* source);
  void add(QueueClaim* claim, Rejection what, int64_t amount);
  static void stop_waiting(QueueClaim* claim);

  const Held max_;
  mutable std::mutex mutex_;  // guards the rest
  Held held_{};
  std::unordered_map<uint64_t, std::unique_ptr<Member>> members_;
  double weights_ = 0;  // of the members
  Time last_{};
  std::array<DrainRate, 2> rates_;
};

}  // namespace pagoda
