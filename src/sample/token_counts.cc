#include "sample/token_counts.h"

#include <algorithm>
#include <bit>

namespace pagoda {
namespace {

constexpr std::size_t kSlotsMin = 64;
constexpr int32_t kVacant = -1;

}  // namespace

void TokenCounts::reserve(std::size_t num_distinct) {
  all_.reserve(num_distinct);
  const std::size_t num_slots = std::max(kSlotsMin, std::bit_ceil(2 * num_distinct));
  if (num_slots > index_.size()) rebuild(num_slots);
}

SeenToken& TokenCounts::at(TokenId token) {
  if (2 * (all_.size() + 1) > index_.size()) rebuild(std::max(kSlotsMin, 2 * index_.size()));
  const std::size_t slot = slot_of(token);
  if (index_[slot] == kVacant) {
    index_[slot] = static_cast<int32_t>(all_.size());
    all_.push_back({token, 0, false});
  }
  return all_[static_cast<std::size_t>(index_[slot])];
}

// Where the token is, or would go.
std::size_t TokenCounts::slot_of(TokenId token) const {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio (Knuth): spreads neighbours
  const std::size_t mask = index_.size() - 1;
  std::size_t slot = (static_cast<uint32_t>(token) * kGolden >> 32) & mask;
  while (index_[slot] != kVacant && all_[static_cast<std::size_t>(index_[slot])].token != token)
    slot = (slot + 1) & mask;
  return slot;
}

void TokenCounts::rebuild(std::size_t num_slots) {
  index_.assign(num_slots, kVacant);
  for (std::size_t i = 0; i < all_.size(); ++i) index_[slot_of(all_[i].token)] = static_cast<int32_t>(i);
}

}  // namespace pagoda
