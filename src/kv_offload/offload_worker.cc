#include "kv_offload/offload_worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "base/check.h"

namespace pagoda {
namespace {

constexpr std::size_t kMinSharedBytes = 1 << 20;  // bytes; less is copied before the threads have woken

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

Result<std::unique_ptr<OffloadWorker>> OffloadWorker::create(const OffloadPages& cache,
                                                             OffloadConfig config) {
  std::unique_ptr<OffloadWorker> worker(new OffloadWorker());
  worker->cache_ = cache;
  worker->num_slots_ = config.num_slots;
  const std::size_t total = cache.page_bytes * static_cast<std::size_t>(config.num_slots);
  try {
    worker->memory_ = Buffer(total);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted,
                  fmt::format("cannot allocate {} bytes: use a smaller --kv-offloading-size", total));
  }
  worker->disk_ = std::move(config.disk);
  return worker;
}

std::span<std::byte> OffloadWorker::slot(int32_t slot) {
  PAGODA_CHECK(slot >= 0 && slot < num_slots_, "a slot of the offload memory");
  const std::size_t bytes = cache_.page_bytes;
  return {static_cast<std::byte*>(memory_.data()) + static_cast<std::size_t>(slot) * bytes, bytes};
}

// In the order of the list: a slot may get two contents in one step. Threads share the bytes of every page.
void OffloadWorker::copy(std::span<const OffloadMove> moves, OffloadMoveKind kind, ComputePool& pool) {
  constexpr int64_t kChunk = 4096;
  const auto page_bytes = static_cast<int64_t>(cache_.page_bytes);
  auto copy_bytes = [&](int64_t begin, int64_t end) {
    const std::size_t offset = static_cast<std::size_t>(begin * kChunk);
    const std::size_t bytes = static_cast<std::size_t>(std::min(end * kChunk, page_bytes)) - offset;
    for (const OffloadMove& move : moves) {
      if (move.kind != kind) continue;
      PAGODA_CHECK(move.block > 0 && move.block < cache_.num_pages, "a block of the cache");
      const std::size_t block = static_cast<std::size_t>(move.block) * cache_.page_bytes + offset;
      const std::span<std::byte> kept = slot(move.slot).subspan(offset, bytes);
      if (kind == OffloadMoveKind::kStore)
        cache_.memory->copy_to_host(block, kept);
      else
        cache_.memory->copy_from_host(block, kept);
    }
  };
  const int64_t total = std::ranges::count(moves, kind, &OffloadMove::kind) * page_bytes;
  const int64_t num_chunks = (page_bytes + kChunk - 1) / kChunk;
  if (total < static_cast<int64_t>(kMinSharedBytes))
    copy_bytes(0, num_chunks);
  else
    pool.parallel_for(num_chunks, 1, copy_bytes);
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

void OffloadWorker::begin(std::span<const OffloadMove> moves) {
  for (const OffloadMove& move : moves) {
    const bool has_slot = move.kind == OffloadMoveKind::kSpill || move.kind == OffloadMoveKind::kFetch;
    if (!has_slot && move.kind != OffloadMoveKind::kDrop) continue;
    PAGODA_CHECK(disk_ != nullptr, "a move to or from a disk that is not there");
    disk_->begin(move, has_slot ? slot(move.slot) : std::span<std::byte>());
  }
}

void OffloadWorker::take_times(StepResult* result) {
  result->offload_store_s = std::exchange(store_s_, 0);
  result->offload_load_s = std::exchange(load_s_, 0);
}

void OffloadWorker::take_ended(std::vector<OffloadMoveEnd>* ended) {
  if (disk_) disk_->take_ended(ended);
}

void OffloadWorker::on_move_end(std::function<void()> wake) {
  if (disk_) disk_->on_move_end(std::move(wake));
}

void OffloadWorker::clear() {
  if (disk_ == nullptr || !disk_->is_busy()) memory_.clear();
}

}  // namespace pagoda
