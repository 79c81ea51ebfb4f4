#include "schedule/wait_queue.h"

#include <algorithm>

#include "base/check.h"

namespace pagoda {
namespace {

// An output token costs a step's share, a prompt token a part of one: about what the paper weighs them.
constexpr double kPromptTokenCost = 1, kOutputTokenCost = 2;
constexpr std::size_t kMostIdleClients = 1024;

// Heap order: the least served on top; among equals who has waited longest.
bool goes_later(const Client* a, const Client* b) {
  if (a->served != b->served) return a->served > b->served;
  return b->cursor->rank < a->cursor->rank;
}

}  // namespace

void WaitQueue::prepare(uint64_t client_key) {
  if (is_fair() && !clients_.contains(client_key)) clients_.emplace(client_key, std::make_unique<Client>());
}

void WaitQueue::join(Sequence* seq, uint64_t client_key, uint32_t weight) {
  if (!is_fair()) return;
  Client* client = clients_.at(client_key).get();
  client->key = client_key;
  client->weight = std::max<uint32_t>(weight, 1);
  ++client->num_active;
  if (client->waiting.empty()) {
    // Nobody saves up service by wanting little, or by being away: it goes on from the least served of those
    // who wait, or from who waited last.
    const Client* least = nullptr;
    for (const auto& [key, other] : clients_) {
      if (other->waiting.empty()) continue;
      if (least == nullptr || other->served < least->served) least = other.get();
    }
    client->served = std::max(client->served, least != nullptr ? least->served : last_served_);
  }
  seq->client = client;
}

void WaitQueue::leave(Sequence* seq) {
  if (seq->client == nullptr) return;
  --seq->client->num_active;
  seq->client = nullptr;
  if (clients_.size() > kMostIdleClients)
    std::erase_if(clients_, [](const auto& entry) { return entry.second->num_active == 0; });
}

void WaitQueue::charge(Sequence* seq, int64_t num_prompt_tokens, int64_t num_output_tokens) {
  if (seq->client == nullptr) return;
  seq->client->served += (kPromptTokenCost * static_cast<double>(num_prompt_tokens) +
                          kOutputTokenCost * static_cast<double>(num_output_tokens)) /
                         seq->client->weight;
}

void WaitQueue::insert(Sequence* seq) {
  (is_fair() ? seq->client->waiting : queue_).insert(seq);
  ++size_;
}

void WaitQueue::remove(Sequence* seq) {
  (is_fair() ? seq->client->waiting : queue_).remove(seq);
  --size_;
  if (is_fair() && seq->client->waiting.empty()) last_served_ = seq->client->served;
}

void WaitQueue::begin_walk() {
  if (!is_fair()) {
    current_ = queue_.front();
    return;
  }
  walk_.clear();
  for (const auto& [key, client] : clients_) {
    client->cursor = client->waiting.front();
    if (client->cursor != nullptr) walk_.push_back(client.get());
  }
  std::make_heap(walk_.begin(), walk_.end(), goes_later);
  current_ = walk_.empty() ? nullptr : walk_.front()->cursor;
}

void WaitQueue::pass() {
  if (!is_fair()) {
    current_ = current_->next;
    return;
  }
  current_->client->cursor = current_->next;
  advance();
}

void WaitQueue::take() {
  Sequence* taken = current_;
  if (!is_fair()) {
    current_ = taken->next;
    remove(taken);
    return;
  }
  taken->client->cursor = taken->next;
  remove(taken);
  advance();
}

// The client on top has moved its cursor and may have been charged.
void WaitQueue::advance() {
  std::pop_heap(walk_.begin(), walk_.end(), goes_later);
  Client* client = walk_.back();
  PAGODA_DCHECK(client == current_->client, "the walk is at the client on top");
  if (client->cursor == nullptr)
    walk_.pop_back();
  else
    std::push_heap(walk_.begin(), walk_.end(), goes_later);
  current_ = walk_.empty() ? nullptr : walk_.front()->cursor;
}

}  // namespace pagoda
