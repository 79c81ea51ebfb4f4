#include "kv/prefix_index.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace pagoda {

PrefixIndex::PrefixIndex(int32_t num_blocks)
    : entries_(static_cast<std::size_t>(num_blocks)),
      buckets_(std::bit_ceil(static_cast<std::size_t>(num_blocks)), kNullBlock) {}

std::size_t PrefixIndex::bucket(const BlockKey& key, int32_t group) const {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // spreads neighbouring groups
  return (key.word() + kOdd * static_cast<uint64_t>(group)) & (buckets_.size() - 1);
}

BlockId PrefixIndex::find(const BlockKey& key, int32_t group) const {
  BlockId block = buckets_[bucket(key, group)];
  while (block != kNullBlock && !(at(block).group == group && at(block).key == key)) block = at(block).next;
  return block;
}

void PrefixIndex::insert(BlockId block, const BlockKey& key, int32_t group) {
  PAGODA_DCHECK(!holds(block) && find(key, group) == kNullBlock, "a content has one block");
  BlockId& head = buckets_[bucket(key, group)];
  at(block) = {key, group, head};
  head = block;
  ++size_;
}

void PrefixIndex::erase(BlockId block) {
  Entry& entry = at(block);
  BlockId* link = &buckets_[bucket(entry.key, entry.group)];
  while (*link != block) {
    PAGODA_CHECK(*link != kNullBlock, "a block is not in its chain");
    link = &at(*link).next;
  }
  *link = entry.next;
  entry.group = -1;
  entry.next = kNullBlock;
  --size_;
}

void PrefixIndex::clear() {
  std::fill(buckets_.begin(), buckets_.end(), kNullBlock);
  for (Entry& entry : entries_) entry = {};
  size_ = 0;
}

void PrefixIndex::check() const {
  int32_t num_held = 0;
  for (BlockId block = 1; block < static_cast<BlockId>(entries_.size()); ++block) {
    if (!holds(block)) continue;
    ++num_held;
    PAGODA_CHECK(find(key(block), group(block)) == block, "a cached block is not found by its key");
  }
  PAGODA_CHECK(num_held == size_, "cached blocks are miscounted");
}

}  // namespace pagoda
