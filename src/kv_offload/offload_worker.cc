#include "kv_offload/offload_worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"

namespace pagoda {
namespace {

constexpr std::chrono::milliseconds kMaxWait{20};
constexpr std::size_t kMinSharedBytes = 1 << 20;  // bytes; less is copied before the threads have woken

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

Result<std::unique_ptr<OffloadWorker>> OffloadWorker::create(std::span<const OffloadRegion> cache,
                                                             OffloadConfig config) {
  std::unique_ptr<OffloadWorker> worker(new OffloadWorker());
  worker->num_slots_ = config.num_slots;
  for (const OffloadRegion& layer : cache) {
    const auto group = static_cast<std::size_t>(layer.group);
    if (group >= worker->group_bytes_.size()) worker->group_bytes_.resize(group + 1);
    std::size_t& offset = worker->group_bytes_[group];
    worker->pieces_.push_back({layer, offset});
    offset += layer.block_bytes;
  }
  worker->slot_bytes_ = std::ranges::max(worker->group_bytes_);
  const std::size_t total = worker->slot_bytes_ * static_cast<std::size_t>(config.num_slots);
  try {
    worker->memory_ = Buffer(total);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted,
                  fmt::format("cannot allocate {} bytes: use a smaller --kv-offloading-size", total));
  }
  worker->disk_ = std::move(config.disk);
  return worker;
}

std::span<std::byte> OffloadWorker::slot(int32_t slot, int32_t group) {
  PAGODA_CHECK(slot >= 0 && slot < num_slots_, "a slot of the offload memory");
  PAGODA_CHECK(group >= 0 && static_cast<std::size_t>(group) < group_bytes_.size(), "a group of the model");
  return {static_cast<std::byte*>(memory_.data()) + static_cast<std::size_t>(slot) * slot_bytes_,
          group_bytes_[static_cast<std::size_t>(group)]};
}

// In the order of the list: a slot may get two contents in one step. Threads share the layers, which do not
// touch one another.
void OffloadWorker::copy(std::span<const OffloadMove> moves, OffloadMoveKind kind, ComputePool& pool) {
  auto copy_layers = [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const Piece& piece = pieces_[i];
      for (const OffloadMove& move : moves) {
        if (move.kind != kind || move.group != piece.cache.group) continue;
        const std::size_t bytes = piece.cache.block_bytes;
        std::byte* const block = piece.cache.data + static_cast<std::size_t>(move.block) * bytes;
        std::byte* const kept = slot(move.slot, move.group).data() + piece.offset;
        if (kind == OffloadMoveKind::kStore)
          std::memcpy(kept, block, bytes);
        else
          std::memcpy(block, kept, bytes);
      }
    }
  };
  std::size_t bytes = 0;
  for (const OffloadMove& move : moves)
    if (move.kind == kind) bytes += slot(move.slot, move.group).size();
  const auto num_layers = static_cast<int64_t>(pieces_.size());
  if (bytes < kMinSharedBytes)
    copy_layers(0, num_layers);
  else
    pool.parallel_for(num_layers, 1, copy_layers);
}

void OffloadWorker::store(std::span<const OffloadMove> moves, ComputePool& pool) {
  if (std::ranges::find(moves, OffloadMoveKind::kStore, &OffloadMove::kind) == moves.end()) return;
  const auto begin = std::chrono::steady_clock::now();
  copy(moves, OffloadMoveKind::kStore, pool);
  store_s_ += seconds_since(begin);
}

void OffloadWorker::load(std::span<const OffloadMove> moves, ComputePool& pool) {
  if (std::ranges::find(moves, OffloadMoveKind::kLoad, &OffloadMove::kind) == moves.end()) return;
  const auto begin = std::chrono::steady_clock::now();
  copy(moves, OffloadMoveKind::kLoad, pool);
  load_s_ += seconds_since(begin);
}

void OffloadWorker::finish(std::span<const OffloadMove> moves, bool idle, StepResult* result) {
  for (const OffloadMove& move : moves) {
    const bool has_slot = move.kind == OffloadMoveKind::kSpill || move.kind == OffloadMoveKind::kFetch;
    if (!has_slot && move.kind != OffloadMoveKind::kDrop) continue;
    PAGODA_CHECK(disk_ != nullptr, "a move to or from a disk that is not there");
    disk_->begin(move, has_slot ? slot(move.slot, move.group) : std::span<std::byte>());
  }
  if (disk_) disk_->take_done(&result->moves_done, idle ? kMaxWait : std::chrono::milliseconds(0));
  result->offload_store_s = std::exchange(store_s_, 0);
  result->offload_load_s = std::exchange(load_s_, 0);
}

void OffloadWorker::clear() {
  if (disk_ == nullptr || !disk_->is_busy()) memory_.clear();
}

}  // namespace pagoda
