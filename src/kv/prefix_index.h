// Which block holds which content: block keys to block ids, one id per key and group. A hash table chained
// through the blocks themselves, since a block holds one content at most: nothing allocates after
// construction.
#pragma once
#include <cstdint>
#include <vector>

#include "contract/block_key.h"
#include "contract/types.h"

namespace pagoda {

class PrefixIndex {
 public:
  explicit PrefixIndex(int32_t num_blocks);

  // kNullBlock: none.
  BlockId find(const BlockKey& key, int32_t group) const;
  // Requires: the block holds nothing, and no other holds this key in this group.
  void insert(BlockId block, const BlockKey& key, int32_t group);
  void erase(BlockId block);  // requires: holds(block)
  void clear();

  bool holds(BlockId block) const { return at(block).group >= 0; }
  const BlockKey& key(BlockId block) const { return at(block).key; }
  int32_t group(BlockId block) const { return at(block).group; }
  int32_t size() const { return size_; }
  // Every chain leads to its keys, and every held block is in its chain. O(blocks); tests only.
  void check() const;

 private:
  struct Entry {
    BlockKey key;
    int32_t group = -1;         // -1: holds nothing
    BlockId next = kNullBlock;  // in its bucket
  };
  Entry& at(BlockId block) { return entries_[static_cast<std::size_t>(block)]; }
  const Entry& at(BlockId block) const { return entries_[static_cast<std::size_t>(block)]; }
  std::size_t bucket(const BlockKey& key, int32_t group) const;

  std::vector<Entry> entries_;    // [num_blocks]
  std::vector<BlockId> buckets_;  // a power of two of them; kNullBlock: empty
  int32_t size_ = 0;
};

}  // namespace pagoda
