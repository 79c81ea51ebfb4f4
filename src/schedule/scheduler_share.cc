// Scheduler::plan, the part that keeps one client from holding all the seats (rows) or blocks while another
// waits: what lacks is taken back from the client that holds the most of it, by weight, where it then still
// holds as much as the one that gets it; so nothing goes to and fro. Its youngest choice gives way and
// computes again later, without another answer.
#include "schedule/scheduler_impl.h"

namespace pagoda {

void Scheduler::Impl::take_back() {
  if (!waiting.is_contested() || running.size() < 2) return;
  if (any_stalled) {
    Sequence* least = nullptr;
    for (Sequence* seq : running)
      if (seq->stalled && (least == nullptr || seq->client->seats() < least->client->seats())) least = seq;
    if (least != nullptr) take_back_blocks(least->client, least->rank, 1);
  }
  if (must_drain || !admission || waiting.empty()) return;
  waiting.begin_walk();
  const Sequence* next = waiting.current();
  if (rows.num_free() == 0 || had_no_room) take_back_seat(*next);
  if (next->blocks_wanted > 0 && !must_drain) take_back_blocks(next->client, next->rank, next->blocks_wanted);
}

// One in a step. For a while the client that has given it gets no more than it has left: the next request of
// the one that wanted it finds a seat without another's loss.
void Scheduler::Impl::take_back_seat(const Sequence& next) {
  constexpr uint64_t kCalmSteps = 64;
  Sequence* victim = most_greedy(*next.client, next.rank, &Client::seats);
  if (victim == nullptr) return;
  Client* from = victim->client;
  if ((next.client->num_seats + 1) / next.client->weight > (from->num_seats - 1) / from->weight) return;
  if (!may_preempt()) return;
  preempt(victim);
  lender = {from->key, from->num_seats, num_plans + kCalmSteps};
}

// So many that they are there when the others have had theirs of this step.
void Scheduler::Impl::take_back_blocks(Client* client, Rank rank, int64_t wanted) {
  constexpr int kMost = 8;  // in a step
  for (int i = 0; i < kMost && running.size() > 1; ++i) {
    const int64_t left = kv->num_free() - blocks_promised() - blocks_reserved();
    if (left >= wanted + static_cast<int64_t>(running.size())) return;
    count_blocks();
    Sequence* victim = most_greedy(*client, rank, &Client::blocks);
    if (victim == nullptr) return;
    const auto after = static_cast<double>(victim->client->num_blocks - kv->num_held(victim->kv));
    if (static_cast<double>(client->num_blocks + wanted) / client->weight > after / victim->client->weight)
      return;
    if (!may_preempt()) return;
    preempt(victim);
  }
}

// The youngest of the client that holds the most; under priority of those that are no more important, under
// fair of those that were served more. Never the first in rank.
Sequence* Scheduler::Impl::most_greedy(const Client& client, Rank rank, double (Client::*has)() const) {
  Sequence* best = nullptr;
  for (std::size_t i = running.size(); i-- > 1;) {
    Sequence* seq = running[i];
    const Client* other = seq->client;
    if (other == &client) continue;
    if (config.policy == SchedulingPolicy::kPriority && seq->rank.priority < rank.priority) continue;
    if (config.policy == SchedulingPolicy::kFair && other->served <= client.served) continue;
    if (best == nullptr || (other->*has)() > (best->client->*has)()) best = seq;
  }
  return best;
}

void Scheduler::Impl::count_blocks() {
  for (Sequence* seq : running) seq->client->num_blocks = 0;
  for (Sequence* seq : running) seq->client->num_blocks += kv->num_held(seq->kv);
}

bool Scheduler::Impl::must_hold_back(const Client& client) const {
  return num_plans < lender.until && client.key == lender.client && client.num_seats >= lender.most_seats;
}

}  // namespace pagoda
