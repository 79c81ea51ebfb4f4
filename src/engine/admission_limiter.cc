#include "engine/admission_limiter.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "base/status.h"

namespace pagoda {

// What one source of a tenant holds.
struct AdmissionLimiter::Source {
  uint64_t key = 0;
  Member* member = nullptr;
  Held held{}, held_waiting{};  // in all, and by claims that wait
  int32_t num_claims = 0;
  std::list<QueueClaim*> waiting;  // by arrival
};

// A tenant that holds something.
struct AdmissionLimiter::Member {
  uint64_t key = 0;
  double weight = 1;
  Held held{}, held_waiting{};
  std::unordered_map<uint64_t, Source> sources;

  double share(std::size_t what) const { return static_cast<double>(held[what]) / weight; }
};

class QueueClaim {
 public:
  AdmissionLimiter::Source* source = nullptr;  // null once nothing is held
  AdmissionLimiter::Held held{};
  int64_t num_waiting = 0;  // choices that have not begun; none: it is not among those that wait
  bool is_owed = false;
  std::list<QueueClaim*>::iterator place;
  AdmissionLimiter::GiveWay give_way;
  AdmissionLimiter::Rejection lost =
      AdmissionLimiter::Rejection::kNone;  // for want of what others have been given its places
};

namespace {
constexpr std::size_t index_of(AdmissionLimiter::Rejection what) {
  return static_cast<std::size_t>(what);
}
}  // namespace

// Integrates an input of one second per second (and the amounts) against a weight that falls by e every
// kMemory seconds.
void DrainRate::pass(double busy_s) {
  const double kept = std::exp(-busy_s / kMemory);
  amount_ *= kept;
  seconds_ = seconds_ * kept + kMemory * (1 - kept);
}

double DrainRate::seconds_for(double amount) const {
  constexpr double kLittle = 1e-9;  // left so long ago that it is no measure
  return amount_ > kLittle ? amount * seconds_ / amount_ : seconds_;
}

AdmissionLimiter::AdmissionLimiter(int32_t max_choices, int64_t max_tokens) : max_{max_choices, max_tokens} {}
AdmissionLimiter::~AdmissionLimiter() = default;

void AdmissionLimiter::pass_time(Time now) {
  if (held_[0] > 0 && now > last_)
    for (DrainRate& rate : rates_) rate.pass(std::chrono::duration<double>(now - last_).count());
  last_ = std::max(last_, now);
}

AdmissionLimiter::Admission AdmissionLimiter::lacking(Rejection what, int64_t amount) const {
  const std::size_t i = index_of(what);
  const double missing = static_cast<double>(held_[i]) + static_cast<double>(amount - max_[i]);
  const double seconds = rates_[i].seconds_for(std::max(missing, 0.0));
  return {what, static_cast<int>(1000 * std::clamp(std::ceil(seconds), 1.0, 60.0))};
}

bool AdmissionLimiter::has_room(Rejection what, int64_t amount) const {
  const std::size_t i = index_of(what);
  return (what == Rejection::kTokens && max_[i] == 0) || amount <= max_[i] - held_[i];
}

// Strong exception guarantee: what may throw comes before any state is changed.
AdmissionLimiter::Admission AdmissionLimiter::try_acquire_choices(const Tenant& tenant, int32_t choices,
                                                                  Time now, GiveWay give_way,
                                                                  std::shared_ptr<QueueClaim>* claim) {
  auto fresh = std::make_shared<QueueClaim>();
  fresh->give_way = std::move(give_way);
  std::list<QueueClaim*> place{fresh.get()};
  std::vector<Lost> lost;
  Admission answer;
  {
    std::lock_guard lock(mutex_);
    pass_time(now);
    Source* source = find(tenant);
    const bool fits = has_room(Rejection::kChoices, choices);
    try {
      // Tokens are made room for when their number is known; until then only tenants that may ask for it go
      // on.
      if (!has_room(Rejection::kTokens, 1) && !may_ask(Rejection::kTokens, *source, 1))
        answer = lacking(Rejection::kTokens, 1);
      else if (!fits && !make_room(Rejection::kChoices, source, choices, &lost))
        answer = lacking(Rejection::kChoices, choices);
    } catch (...) {
      forget_if_empty(source);
      throw;
    }
    if (answer.rejection == Rejection::kNone) {
      fresh->is_owed = !fits;
      enter(fresh.get(), &place, source, choices);
      *claim = std::move(fresh);
    } else {
      forget_if_empty(source);
    }
  }
  tell(lost);
  return answer;
}

void AdmissionLimiter::enter(QueueClaim* claim, std::list<QueueClaim*>* place, Source* source,
                             int32_t choices) noexcept {
  claim->source = source;
  claim->num_waiting = choices;
  claim->place = place->begin();
  source->waiting.splice(source->waiting.end(), *place);
  ++source->num_claims;
  add(claim, Rejection::kChoices, choices);
}

// One that can not be told is no reason not to tell the others, or to refuse an admitted request.
void AdmissionLimiter::tell(const std::vector<Lost>& lost) {
  for (const Lost& one : lost) {
    try {
      UseOfReserve to_tell;
      if (one.give_way) one.give_way(one.answer);
    } catch (...) {
      log_error("A request that has lost its place in the queue could not be told: {}",
                status_of_exception().message());
    }
  }
}

AdmissionLimiter::Admission AdmissionLimiter::try_acquire_tokens(QueueClaim* claim, int64_t tokens,
                                                                 Time now) {
  std::vector<Lost> lost;
  Admission answer;
  {
    std::lock_guard lock(mutex_);
    pass_time(now);
    if (claim->source == nullptr) return lacking(claim->lost, claim->lost == Rejection::kTokens ? tokens : 1);
    if (make_room(Rejection::kTokens, claim->source, tokens, &lost))
      add(claim, Rejection::kTokens, tokens);
    else
      answer = lacking(Rejection::kTokens, tokens);
  }
  tell(lost);
  return answer;
}

bool AdmissionLimiter::is_owed(const QueueClaim* claim) const {
  return claim->is_owed;
}

void AdmissionLimiter::begin(QueueClaim* claim, int32_t choices) {
  std::lock_guard lock(mutex_);
  if (claim->source == nullptr) return;
  claim->num_waiting -= choices;
  if (claim->num_waiting == 0) stop_waiting(claim);
}

void AdmissionLimiter::give_back(QueueClaim* claim, int32_t choices, int64_t tokens, bool waiting,
                                 bool served, Time now) {
  std::lock_guard lock(mutex_);
  pass_time(now);
  if (claim->source == nullptr) return;  // others have them
  if (served) {
    rates_[0].leave(choices);
    rates_[1].leave(static_cast<double>(tokens));
  }
  if (waiting && choices > 0 && (claim->num_waiting -= choices) == 0) stop_waiting(claim);
  add(claim, Rejection::kTokens, -tokens);
  add(claim, Rejection::kChoices, -choices);
  if (claim->held[0] > 0) return;
  --claim->source->num_claims;
  forget_if_empty(std::exchange(claim->source, nullptr));
}

int64_t AdmissionLimiter::num_choices() const {
  std::lock_guard lock(mutex_);
  return held_[0];
}

// Also where the share is less: one place, and one prompt, which can not be divided.
bool AdmissionLimiter::may_ask(Rejection what, const Source& source, int64_t amount) const {
  const std::size_t i = index_of(what);
  const Member& member = *source.member;
  const int64_t after = member.held[i] + amount;
  const double share = static_cast<double>(max_[i]) * member.weight / weights_;
  const bool is_within = static_cast<double>(after) <= share || after == 1 ||
                         (what == Rejection::kTokens && member.held[i] == 0 && amount <= max_[i]);
  return is_within && greedier(what, member, static_cast<double>(after) / member.weight, false) != nullptr;
}

AdmissionLimiter::Member* AdmissionLimiter::greedier(Rejection what, const Member& newcomer, double above,
                                                     bool waits) const {
  const std::size_t i = index_of(what);
  Member* most = nullptr;
  for (const auto& [key, member] : members_) {
    if (member.get() == &newcomer || (waits && member->held_waiting[i] == 0)) continue;
    const double share = member->share(i);
    if (share > above && (most == nullptr || share > most->share(i))) most = member.get();
  }
  return most;
}

AdmissionLimiter::Source* AdmissionLimiter::greediest(Rejection what, Member* member,
                                                      const Source* newcomer) {
  const std::size_t i = index_of(what);
  Source* most = nullptr;
  for (auto& [key, source] : member->sources)
    if (&source != newcomer && source.held_waiting[i] > 0 &&
        (most == nullptr || source.held[i] > most->held[i]))
      most = &source;
  return most;
}

bool AdmissionLimiter::make_room(Rejection what, Source* source, int64_t amount, std::vector<Lost>* lost) {
  if (has_room(what, amount)) return true;
  std::vector<Chosen> chosen;
  auto put_back = [&] {
    for (const Chosen& one : chosen) add(one.claim, what, one.amount);
  };
  bool is_enough = false;
  try {
    is_enough = may_ask(what, *source, amount) ? choose_among(what, *source, amount, &chosen)
                                               : choose_within(what, *source, amount, &chosen);
    if (is_enough) lost->reserve(chosen.size());
  } catch (...) {
    put_back();
    throw;
  }
  put_back();
  if (!is_enough) return false;  // no claim is displaced in vain
  for (const Chosen& one : chosen) displace(what, one.claim, lost);
  return true;
}

bool AdmissionLimiter::choose_among(Rejection what, const Source& source, int64_t amount,
                                    std::vector<Chosen>* chosen) {
  const std::size_t i = index_of(what);
  const Member& member = *source.member;
  const double after = static_cast<double>(member.held[i] + amount) / member.weight;
  while (!has_room(what, amount)) {
    Member* other = greedier(what, member, after, true);
    if (other == nullptr) return held_[i] + amount <= 2 * max_[i];
    choose_newest(what, *greediest(what, other, nullptr), chosen);
  }
  return true;
}

bool AdmissionLimiter::choose_within(Rejection what, const Source& source, int64_t amount,
                                     std::vector<Chosen>* chosen) {
  const std::size_t i = index_of(what);
  Member* member = source.member;
  const int64_t after = source.held[i] + amount;
  if (after > std::max<int64_t>(member->held[i] / static_cast<int64_t>(member->sources.size()), 1))
    return false;
  int64_t obtainable = max_[i] - held_[i];
  for (const auto& [key, other] : member->sources)
    if (&other != &source) obtainable += std::clamp<int64_t>(other.held[i] - after, 0, other.held_waiting[i]);
  if (obtainable < amount) return false;
  while (!has_room(what, amount)) choose_newest(what, *greediest(what, member, &source), chosen);
  return true;
}

// Takes what it holds out of the counts, so that the next choice sees what would be left. Requires: of `what`
// something is held by one that waits.
void AdmissionLimiter::choose_newest(Rejection what, const Source& source, std::vector<Chosen>* chosen) {
  const std::size_t i = index_of(what);
  auto newest = std::find_if(source.waiting.rbegin(), source.waiting.rend(),
                             [i](const QueueClaim* claim) { return claim->held[i] > 0; });
  chosen->push_back({*newest, (*newest)->held[i]});
  add(*newest, what, -(*newest)->held[i]);
}

// Requires: there is room in *lost.
void AdmissionLimiter::displace(Rejection what, QueueClaim* claim, std::vector<Lost>* lost) noexcept {
  Source* source = claim->source;
  const Held held = claim->held;
  add(claim, Rejection::kTokens, -held[1]);
  add(claim, Rejection::kChoices, -held[0]);
  stop_waiting(claim);
  claim->source = nullptr;
  claim->lost = what;
  lost->push_back({std::move(claim->give_way), lacking(what, held[index_of(what)])});
  --source->num_claims;
  forget_if_empty(source);
}

AdmissionLimiter::Source* AdmissionLimiter::find(const Tenant& tenant) {
  auto fill = [&tenant](Member* member) {
    Source& source = member->sources[tenant.source];
    source.key = tenant.source;
    source.member = member;
    return &source;
  };
  if (auto known = members_.find(tenant.key); known != members_.end()) return fill(known->second.get());
  auto member = std::make_unique<Member>();
  member->key = tenant.key;
  member->weight = std::max<uint32_t>(tenant.weight, 1);
  Source* source = fill(member.get());
  weights_ += members_.emplace(tenant.key, std::move(member)).first->second->weight;
  return source;
}

void AdmissionLimiter::forget_if_empty(Source* source) {
  if (source->num_claims > 0) return;
  Member* member = source->member;
  member->sources.erase(source->key);
  if (!member->sources.empty()) return;
  weights_ -= member->weight;
  members_.erase(member->key);
}

void AdmissionLimiter::add(QueueClaim* claim, Rejection what, int64_t amount) {
  const std::size_t i = index_of(what);
  Source* source = claim->source;
  for (Held* held : {&claim->held, &source->held, &source->member->held, &held_}) (*held)[i] += amount;
  if (claim->num_waiting == 0) return;
  for (Held* held : {&source->held_waiting, &source->member->held_waiting}) (*held)[i] += amount;
}

void AdmissionLimiter::stop_waiting(QueueClaim* claim) {
  Source* source = claim->source;
  source->waiting.erase(claim->place);
  for (Held* held : {&source->held_waiting, &source->member->held_waiting})
    for (std::size_t i = 0; i < claim->held.size(); ++i) (*held)[i] -= claim->held[i];
  claim->num_waiting = 0;
}

}  // namespace pagoda
