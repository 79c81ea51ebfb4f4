#include "tests/testing/fake_offload.h"

#include <algorithm>

namespace pagoda::testing {

FakeOffload::FakeOffload(const FakeOffloadConfig& config, Expect expect, BlockOf block_of)
    : config_(config),
      expect_(std::move(expect)),
      block_of_(std::move(block_of)),
      random_(config.seed),
      slots_(static_cast<std::size_t>(config.num_slots)) {}

FakeOffload::Slot* FakeOffload::slot_at(const OffloadMove& move) {
  const bool inside = move.slot >= 0 && static_cast<std::size_t>(move.slot) < slots_.size();
  expect_(inside, "a move names a slot that is not there");
  return inside ? &slots_[static_cast<std::size_t>(move.slot)] : nullptr;
}

void FakeOffload::run_stores(const StepPlan& plan) {
  for (const OffloadMove& move : plan.moves) {
    if (move.kind != OffloadMoveKind::kStore) continue;
    Slot* slot = slot_at(move);
    if (slot == nullptr) return;
    expect_(!slot->is_busy(), "a block is stored in a slot that is being spilled or fetched");
    const std::span<const uint64_t> block = block_of_(move.group, move.block);
    slot->filled = true;
    slot->key = move.key;
    slot->group = move.group;
    slot->content.assign(block.begin(), block.end());
  }
}

void FakeOffload::run_loads(const StepPlan& plan) {
  for (const OffloadMove& move : plan.moves) {
    if (move.kind != OffloadMoveKind::kLoad) continue;
    Slot* slot = slot_at(move);
    if (slot == nullptr) return;
    expect_(slot->filled && !slot->is_fetched && slot->key == move.key && slot->group == move.group,
            "a block is loaded from a slot that does not hold it");
    if (!slot->filled) return;
    std::ranges::copy(slot->content, block_of_(move.group, move.block).begin());
    ++num_loads_;
  }
}

void FakeOffload::begin(const OffloadMove& move) {
  if (move.kind == OffloadMoveKind::kDrop) {
    writes_.push_back({move, {}});
    return;
  }
  Slot* slot = slot_at(move);
  if (slot == nullptr) return;
  expect_(!slot->is_busy(), "a slot is spilled or fetched twice at a time");
  if (move.kind == OffloadMoveKind::kSpill) {
    slot->is_spilled = true;
    expect_(slot->filled && slot->key == move.key && slot->group == move.group,
            "a slot is spilled that does not hold the content");
    writes_.push_back({move, slot->content});
  } else {
    slot->is_fetched = true;
    expect_(files_.contains({move.key.bytes, move.group}), "a file is fetched that was never written");
    slot->filled = false;
    fetches_.push_back({move, {}});
  }
}

void FakeOffload::begin_background(const StepPlan& plan) {
  for (const OffloadMove& move : plan.moves)
    if (move.kind != OffloadMoveKind::kStore && move.kind != OffloadMoveKind::kLoad) begin(move);
}

void FakeOffload::take_ended(std::vector<OffloadMoveEnd>* ended) {
  end_some(&fetches_, ended);
  end_some(&writes_, ended);
}

void FakeOffload::end_some(std::deque<Pending>* queue, std::vector<OffloadMoveEnd>* ended) {
  while (!queue->empty() && random_.next() % config_.end_one_in == 0) {
    end(queue->front(), ended);
    queue->pop_front();
  }
}

void FakeOffload::end(const Pending& pending, std::vector<OffloadMoveEnd>* ended) {
  const OffloadMove& move = pending.move;
  const Id id{move.key.bytes, move.group};
  if (move.kind == OffloadMoveKind::kDrop) {
    if (move.group < 0) files_.clear();
    files_.erase(id);
    return;
  }
  Slot& slot = slots_[static_cast<std::size_t>(move.slot)];
  slot.is_spilled = slot.is_fetched = false;
  bool ok = config_.fail_one_in == 0 || random_.next() % config_.fail_one_in != 0;
  if (move.kind == OffloadMoveKind::kSpill) {
    expect_(slot.content == pending.content, "a slot has changed while it was spilled");
    if (ok) files_[id] = pending.content;
  } else {
    ok = ok && files_.contains(id);
    if (ok) {
      slot = {.filled = true, .key = move.key, .group = move.group, .content = files_.at(id)};
      ++num_fetched_;
    } else {
      files_.erase(id);
    }
  }
  ended->push_back({.kind = move.kind, .group = move.group, .slot = move.slot, .key = move.key, .ok = ok});
}

}  // namespace pagoda::testing
