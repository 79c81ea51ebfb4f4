// Scheduler::plan, the part that keeps one tenant from holding all the seats (rows) or blocks while another
// waits: what lacks is taken back from the tenant that holds the most of it, by weight, where it then still
// holds as much as the one that gets it; so nothing goes to and fro. Its youngest choice gives way and
// computes again later, without another answer.
#include "schedule/scheduler_impl.h"

namespace pagoda {

void Scheduler::Impl::take_back() {
  if (!waiting.is_contested() || running.size() < 2) return;
  if (any_stalled) {
    Sequence* least = nullptr;
    for (Sequence* seq : running)
      if (seq->stalled && (least == nullptr || seq->tenant->seats() < least->tenant->seats())) least = seq;
    if (least != nullptr) take_back_blocks(least->tenant, least->rank, 1);
  }
  if (must_drain || !admission || waiting.empty()) return;
  waiting.begin_walk();
  const Sequence* next = waiting.current();
  if (rows.num_free() == 0 || had_no_room) take_back_seat(*next);
  if (next->blocks_wanted > 0 && !must_drain) take_back_blocks(next->tenant, next->rank, next->blocks_wanted);
}

// One in a step. For a while the tenant that has given it gets no more than it has left: the next request of
// the one that wanted it finds a seat without another's loss.
void Scheduler::Impl::take_back_seat(const Sequence& next) {
  constexpr uint64_t kCalmSteps = 64;
  Sequence* victim = most_greedy(*next.tenant, next.rank, &TenantShare::seats);
  if (victim == nullptr) return;
  TenantShare* from = victim->tenant;
  if ((next.tenant->num_seats + 1) / next.tenant->weight > (from->num_seats - 1) / from->weight) return;
  if (!may_preempt()) return;
  preempt(victim);
  lender = {from->key, from->num_seats, num_plans + kCalmSteps};
}

// So many that they are there when the others have had theirs of this step.
void Scheduler::Impl::take_back_blocks(TenantShare* tenant, Rank rank, int64_t wanted) {
  constexpr int kMost = 8;  // in a step
  for (int i = 0; i < kMost && running.size() > 1; ++i) {
    const int64_t left = kv->num_free() - blocks_promised() - blocks_reserved();
    if (left >= wanted + static_cast<int64_t>(running.size())) return;
    count_blocks();
    Sequence* victim = most_greedy(*tenant, rank, &TenantShare::blocks);
    if (victim == nullptr) return;
    const auto after = static_cast<double>(victim->tenant->num_blocks - kv->num_held(victim->kv));
    if (static_cast<double>(tenant->num_blocks + wanted) / tenant->weight > after / victim->tenant->weight)
      return;
    if (!may_preempt()) return;
    preempt(victim);
  }
}

// The youngest of the tenant that holds the most; under priority of those that are no more important, under
// fair of those that were served more. Never the first in rank.
Sequence* Scheduler::Impl::most_greedy(const TenantShare& tenant, Rank rank,
                                       double (TenantShare::*has)() const) {
  Sequence* best = nullptr;
  for (std::size_t i = running.size(); i-- > 1;) {
    Sequence* seq = running[i];
    const TenantShare* other = seq->tenant;
    if (other == &tenant) continue;
    if (config.policy == SchedulingPolicy::kPriority && seq->rank.priority < rank.priority) continue;
    if (config.policy == SchedulingPolicy::kFair && other->served <= tenant.served) continue;
    if (best == nullptr || (other->*has)() > (best->tenant->*has)()) best = seq;
  }
  return best;
}

void Scheduler::Impl::count_blocks() {
  for (Sequence* seq : running) seq->tenant->num_blocks = 0;
  for (Sequence* seq : running) seq->tenant->num_blocks += kv->num_held(seq->kv);
}

bool Scheduler::Impl::must_hold_back(const TenantShare& tenant) const {
  return num_plans < lender.until && tenant.key == lender.tenant && tenant.num_seats >= lender.most_seats;
}

}  // namespace pagoda
