#include "schedule/wait_queue.h"

#include <algorithm>
#include <utility>

namespace pagoda {
namespace {

// An output token costs a step's share, a prompt token a part of one: about what the paper weighs them.
constexpr double kPromptTokenCost = 1, kOutputTokenCost = 2;
constexpr std::size_t kMostIdleClients = 1024;

// Heap order: the next on top; among equals the one that has waited longest.
struct GoesLater {
  SchedulingPolicy policy;
  bool operator()(const Client* a, const Client* b) const {
    const Rank rank_a = a->cursor->rank, rank_b = b->cursor->rank;
    if (policy == SchedulingPolicy::kPriority && rank_a.priority != rank_b.priority)
      return rank_a.priority > rank_b.priority;
    if (policy != SchedulingPolicy::kFair && a->seats() != b->seats()) return a->seats() > b->seats();
    if (a->served != b->served) return a->served > b->served;
    return rank_b < rank_a;
  }
};

}  // namespace

void WaitQueue::prepare(uint64_t client_key) {
  if (clients_.size() >= waiting_.capacity() || clients_.size() >= walk_.capacity()) {
    waiting_.reserve(2 * clients_.size() + 8);
    walk_.reserve(2 * clients_.size() + 8);
  }
  if (!clients_.contains(client_key)) clients_.emplace(client_key, std::make_unique<Client>());
}

Client* WaitQueue::join(uint64_t client_key, uint32_t weight, int32_t count) {
  Client* client = clients_.at(client_key).get();
  client->key = client_key;
  client->weight = std::max<uint32_t>(weight, 1);
  num_clients_ += client->num_active == 0;
  client->num_active += count;
  if (client->waiting.empty()) {
    // No client saves up service by wanting little, or by being away: it goes on from the least served of the
    // waiting ones, or from the one that waited last.
    const auto least =
        std::min_element(waiting_.begin(), waiting_.end(),
                         [](const Client* a, const Client* b) { return a->served < b->served; });
    client->served = std::max(client->served, least != waiting_.end() ? (*least)->served : last_served_);
  }
  return client;
}

void WaitQueue::leave(Sequence* seq) {
  if (--std::exchange(seq->client, nullptr)->num_active > 0) return;
  --num_clients_;
  if (clients_.size() > kMostIdleClients + 2 * static_cast<std::size_t>(num_clients_))
    std::erase_if(clients_, [](const auto& entry) { return entry.second->num_active == 0; });
}

void WaitQueue::charge(Sequence* seq, int64_t num_prompt_tokens, int64_t num_output_tokens) const {
  if (!is_fair()) return;
  seq->client->served += (kPromptTokenCost * static_cast<double>(num_prompt_tokens) +
                          kOutputTokenCost * static_cast<double>(num_output_tokens)) /
                         seq->client->weight;
}

void WaitQueue::insert(Sequence* seq) {
  Client* client = seq->client;
  client->waiting.insert(seq);
  ++size_;
  if (client->place >= 0) return;
  client->place = static_cast<int32_t>(waiting_.size());
  waiting_.push_back(client);
}

void WaitQueue::remove(Sequence* seq) {
  Client* client = seq->client;
  client->waiting.remove(seq);
  --size_;
  if (!client->waiting.empty()) return;
  last_served_ = client->served;
  waiting_.back()->place = client->place;
  waiting_[static_cast<std::size_t>(client->place)] = waiting_.back();
  waiting_.pop_back();
  client->place = -1;
}

void WaitQueue::begin_walk() {
  walk_ = waiting_;
  for (Client* client : walk_) client->cursor = client->waiting.front();
  std::make_heap(walk_.begin(), walk_.end(), GoesLater{policy_});
}

void WaitQueue::pass() {
  advance(current()->next);
}

void WaitQueue::pass_client() {
  advance(nullptr);
}

void WaitQueue::take() {
  Sequence* taken = current();
  Sequence* next = taken->next;
  if (!is_fair()) taken->client->served += 1 / taken->client->weight;
  remove(taken);
  advance(next);
}

// The client on top goes on with `next`; it may have been charged.
void WaitQueue::advance(Sequence* next) {
  std::pop_heap(walk_.begin(), walk_.end(), GoesLater{policy_});
  walk_.back()->cursor = next;
  if (next == nullptr)
    walk_.pop_back();
  else
    std::push_heap(walk_.begin(), walk_.end(), GoesLater{policy_});
}

}  // namespace pagoda
