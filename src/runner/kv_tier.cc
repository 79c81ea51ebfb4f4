#include "runner/kv_tier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "base/check.h"

namespace pagoda {
namespace {

constexpr std::chrono::milliseconds kPatience{20};
constexpr std::size_t kWorthSharing = 1 << 20;  // bytes; less is copied before the threads have woken

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

Result<std::unique_ptr<KvTier>> KvTier::create(const ModelConfig& config, std::span<const int32_t> windows,
                                               std::span<const KvLayerView> layers, int32_t num_slots,
                                               std::unique_ptr<KvFolder> folder) {
  std::unique_ptr<KvTier> tier(new KvTier());
  tier->num_slots_ = num_slots;
  tier->group_bytes_.resize(windows.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const KvLayerView& layer = layers[i];
    const auto group = std::ranges::find(windows, config.layers[i].window) - windows.begin();
    PAGODA_CHECK(static_cast<std::size_t>(group) < windows.size(), "every layer has a group");
    std::size_t& offset = tier->group_bytes_[static_cast<std::size_t>(group)];
    const std::size_t bytes =
        kv_block_bytes(layer.dtype, layer.num_kv_heads, layer.head_dim, layer.block_size);
    tier->pieces_.push_back({layer, static_cast<int32_t>(group), offset, bytes});
    offset += bytes;
  }
  for (std::size_t bytes : tier->group_bytes_) tier->slot_bytes_ = std::max(tier->slot_bytes_, bytes);
  const std::size_t total = tier->slot_bytes_ * static_cast<std::size_t>(num_slots);
  try {
    tier->memory_ = Buffer(total);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted,
                  fmt::format("cannot allocate {} bytes: use a smaller --kv-offloading-size", total));
  }
  tier->folder_ = std::move(folder);
  return tier;
}

std::span<std::byte> KvTier::slot(int32_t slot, int32_t group) {
  PAGODA_CHECK(slot >= 0 && slot < num_slots_, "a slot of the tier");
  PAGODA_CHECK(group >= 0 && static_cast<std::size_t>(group) < group_bytes_.size(), "a group of the model");
  return {static_cast<std::byte*>(memory_.data()) + static_cast<std::size_t>(slot) * slot_bytes_,
          group_bytes_[static_cast<std::size_t>(group)]};
}

// In the order of the list: a slot may get two contents in one step. Threads share the layers, which do not
// touch one another.
void KvTier::copy(std::span<const TierMove> moves, TierMoveKind kind, ComputePool& pool) {
  auto copy_layers = [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const Piece& piece = pieces_[i];
      for (const TierMove& move : moves) {
        if (move.kind != kind || move.group != piece.group) continue;
        std::byte* const block =
            static_cast<std::byte*>(piece.layer.data) + static_cast<std::size_t>(move.block) * piece.bytes;
        std::byte* const kept = slot(move.slot, move.group).data() + piece.offset;
        if (kind == TierMoveKind::kStore)
          std::memcpy(kept, block, piece.bytes);
        else
          std::memcpy(block, kept, piece.bytes);
      }
    }
  };
  std::size_t bytes = 0;
  for (const TierMove& move : moves)
    if (move.kind == kind) bytes += slot(move.slot, move.group).size();
  const auto num_layers = static_cast<int64_t>(pieces_.size());
  if (bytes < kWorthSharing)
    copy_layers(0, num_layers);
  else
    pool.parallel_for(num_layers, 1, copy_layers);
}

void KvTier::store(std::span<const TierMove> moves, ComputePool& pool) {
  if (std::ranges::find(moves, TierMoveKind::kStore, &TierMove::kind) == moves.end()) return;
  const auto begin = std::chrono::steady_clock::now();
  copy(moves, TierMoveKind::kStore, pool);
  store_s_ += seconds_since(begin);
}

void KvTier::load(std::span<const TierMove> moves, ComputePool& pool) {
  if (std::ranges::find(moves, TierMoveKind::kLoad, &TierMove::kind) == moves.end()) return;
  const auto begin = std::chrono::steady_clock::now();
  copy(moves, TierMoveKind::kLoad, pool);
  load_s_ += seconds_since(begin);
}

void KvTier::finish(std::span<const TierMove> moves, bool idle, StepResult* result) {
  for (const TierMove& move : moves) {
    const bool has_slot = move.kind == TierMoveKind::kSpill || move.kind == TierMoveKind::kFetch;
    if (!has_slot && move.kind != TierMoveKind::kDrop) continue;
    PAGODA_CHECK(folder_ != nullptr, "a move to or from a folder that is not there");
    folder_->begin(move, has_slot ? slot(move.slot, move.group) : std::span<std::byte>());
  }
  if (folder_) folder_->take_done(&result->moves_done, idle ? kPatience : std::chrono::milliseconds(0));
  result->tier_store_s = std::exchange(store_s_, 0);
  result->tier_load_s = std::exchange(load_s_, 0);
}

void KvTier::clear() {
  if (folder_ == nullptr || !folder_->is_busy()) memory_.clear();
}

}  // namespace pagoda
