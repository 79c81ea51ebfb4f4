#include "schedule/wait_queue.h"

#include <algorithm>
#include <utility>

namespace pagoda {
namespace {

// An output token costs a step's share, a prompt token a part of one: about what the paper weighs them.
constexpr double kPromptTokenCost = 1, kOutputTokenCost = 2;
constexpr std::size_t kMaxIdleTenants = 1024;

// Heap order: the next on top; among equals the one that has waited longest.
struct GoesLater {
  SchedulingPolicy policy;
  bool operator()(const TenantShare* a, const TenantShare* b) const {
    const Rank rank_a = a->cursor->rank, rank_b = b->cursor->rank;
    if (policy == SchedulingPolicy::kPriority && rank_a.priority != rank_b.priority)
      return rank_a.priority > rank_b.priority;
    if (policy != SchedulingPolicy::kFair && a->seats() != b->seats()) return a->seats() > b->seats();
    if (a->served != b->served) return a->served > b->served;
    return rank_b < rank_a;
  }
};

}  // namespace

void WaitQueue::prepare(uint64_t tenant_key) {
  if (tenants_.size() >= waiting_.capacity() || tenants_.size() >= walk_.capacity()) {
    waiting_.reserve(2 * tenants_.size() + 8);
    walk_.reserve(2 * tenants_.size() + 8);
  }
  if (!tenants_.contains(tenant_key)) tenants_.emplace(tenant_key, std::make_unique<TenantShare>());
}

TenantShare* WaitQueue::join(uint64_t tenant_key, uint32_t weight, int32_t count) {
  TenantShare* tenant = tenants_.at(tenant_key).get();
  tenant->key = tenant_key;
  tenant->weight = std::max<uint32_t>(weight, 1);
  num_tenants_ += tenant->num_active == 0;
  tenant->num_active += count;
  if (tenant->waiting.empty()) {
    // No tenant saves up service by wanting little, or by being away: it goes on from the least served of the
    // waiting ones, or from the one that waited last.
    const auto least =
        std::min_element(waiting_.begin(), waiting_.end(),
                         [](const TenantShare* a, const TenantShare* b) { return a->served < b->served; });
    tenant->served = std::max(tenant->served, least != waiting_.end() ? (*least)->served : last_served_);
  }
  return tenant;
}

void WaitQueue::leave(Sequence* seq) {
  if (--std::exchange(seq->tenant, nullptr)->num_active > 0) return;
  --num_tenants_;
  if (tenants_.size() > kMaxIdleTenants + 2 * static_cast<std::size_t>(num_tenants_))
    std::erase_if(tenants_, [](const auto& entry) { return entry.second->num_active == 0; });
}

void WaitQueue::charge(Sequence* seq, int64_t num_prompt_tokens, int64_t num_output_tokens) const {
  if (!is_fair()) return;
  seq->tenant->served += (kPromptTokenCost * static_cast<double>(num_prompt_tokens) +
                          kOutputTokenCost * static_cast<double>(num_output_tokens)) /
                         seq->tenant->weight;
}

void WaitQueue::insert(Sequence* seq) {
  TenantShare* tenant = seq->tenant;
  tenant->waiting.insert(seq);
  ++size_;
  if (tenant->place >= 0) return;
  tenant->place = static_cast<int32_t>(waiting_.size());
  waiting_.push_back(tenant);
}

void WaitQueue::remove(Sequence* seq) {
  TenantShare* tenant = seq->tenant;
  tenant->waiting.remove(seq);
  --size_;
  if (!tenant->waiting.empty()) return;
  last_served_ = tenant->served;
  waiting_.back()->place = tenant->place;
  waiting_[static_cast<std::size_t>(tenant->place)] = waiting_.back();
  waiting_.pop_back();
  tenant->place = -1;
}

void WaitQueue::begin_walk() {
  walk_ = waiting_;
  for (TenantShare* tenant : walk_) tenant->cursor = tenant->waiting.front();
  std::make_heap(walk_.begin(), walk_.end(), GoesLater{policy_});
}

void WaitQueue::pass() {
  advance(current()->next);
}

void WaitQueue::pass_tenant() {
  advance(nullptr);
}

void WaitQueue::take() {
  Sequence* taken = current();
  Sequence* next = taken->next;
  if (!is_fair()) taken->tenant->served += 1 / taken->tenant->weight;
  remove(taken);
  advance(next);
}

// The tenant on top goes on with `next`; it may have been charged.
void WaitQueue::advance(Sequence* next) {
  std::pop_heap(walk_.begin(), walk_.end(), GoesLater{policy_});
  walk_.back()->cursor = next;
  if (next == nullptr)
    walk_.pop_back();
  else
    std::push_heap(walk_.begin(), walk_.end(), GoesLater{policy_});
}

}  // namespace pagoda
