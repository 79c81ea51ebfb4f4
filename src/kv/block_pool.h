// Blocks of the cache by id, with reference counts. The free list is doubly linked by index inside one array,
// so taking from its head, giving back, and pulling a free block out of its middle (a hit in a prefix cache
// on a block without references whose content is still there) are all O(1) and never allocate.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "contract/types.h"

namespace pagoda {

class BlockPool {
 public:
  // Blocks 1 .. num_blocks - 1 are free; block 0 is the null block, never given out.
  explicit BlockPool(int32_t num_blocks);

  // The head of the free list, with one reference: the least recently used one, whose content is evicted.
  // Requires: num_free() > 0.
  BlockId allocate();
  // One more reference; a free block leaves the free list with its content.
  void ref(BlockId block);
  // One reference less. Without any the block is free: at the tail of the list if its content is cached (it
  // may be wanted again), else at the head, where it is the next to be used, while its memory is still warm.
  void unref(BlockId block, bool is_cached);

  // The free block next in line behind this one, the youngest first; kNullBlock: the youngest, and the end.
  BlockId older_free(BlockId block) const { return blocks_[static_cast<std::size_t>(block)].prev; }

  int32_t num_free() const { return num_free_; }
  int32_t num_blocks() const { return static_cast<int32_t>(blocks_.size()); }
  int32_t ref_count(BlockId block) const { return blocks_[static_cast<std::size_t>(block)].ref_count; }
  // Walks the free list: each block is in it exactly if it has no references, and free + used = num_blocks
  // - 1. Aborts where that does not hold.
  void check() const;

 private:
  struct Block {
    int32_t ref_count = 0;
    BlockId prev = kNullBlock, next = kNullBlock;  // in the free list
  };
  Block& at(BlockId block) { return blocks_[static_cast<std::size_t>(block)]; }
  void unlink(BlockId block);
  void link_between(BlockId prev, BlockId block, BlockId next);

  std::vector<Block> blocks_;  // blocks_[0] is the list's sentinel: its next is the head, its prev the tail
  int32_t num_free_ = 0;
};

}  // namespace pagoda
