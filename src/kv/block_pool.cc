#include "kv/block_pool.h"

#include "base/check.h"

namespace pagoda {

BlockPool::BlockPool(int32_t num_blocks) {
  PAGODA_CHECK(num_blocks >= 1, "a pool has at least the null block");
  blocks_.resize(static_cast<std::size_t>(num_blocks));
  for (BlockId block = 1; block < num_blocks; ++block) link_between(at(kNullBlock).prev, block, kNullBlock);
}

void BlockPool::link_between(BlockId prev, BlockId block, BlockId next) {
  at(block).prev = prev;
  at(block).next = next;
  at(prev).next = block;
  at(next).prev = block;
  ++num_free_;
}

void BlockPool::unlink(BlockId block) {
  at(at(block).prev).next = at(block).next;
  at(at(block).next).prev = at(block).prev;
  --num_free_;
}

BlockId BlockPool::allocate() {
  PAGODA_CHECK(num_free_ > 0, "no free block: ask num_free() first");
  BlockId block = at(kNullBlock).next;
  unlink(block);
  at(block).ref_count = 1;
  return block;
}

void BlockPool::ref(BlockId block) {
  PAGODA_DCHECK(block > kNullBlock && block < num_blocks(), "no such block");
  if (at(block).ref_count++ == 0) unlink(block);
}

void BlockPool::unref(BlockId block, bool is_cached) {
  PAGODA_CHECK(block > kNullBlock && block < num_blocks() && at(block).ref_count > 0, "given back twice");
  if (--at(block).ref_count > 0) return;
  if (is_cached)
    link_between(at(kNullBlock).prev, block, kNullBlock);
  else
    link_between(kNullBlock, block, at(kNullBlock).next);
}

void BlockPool::check() const {
  int32_t num_listed = 0;
  BlockId prev = kNullBlock;
  for (BlockId block = blocks_[0].next; block != kNullBlock;
       block = blocks_[static_cast<std::size_t>(block)].next) {
    const Block& entry = blocks_[static_cast<std::size_t>(block)];
    PAGODA_CHECK(entry.ref_count == 0, "a block in use is in the free list");
    PAGODA_CHECK(entry.prev == prev, "the free list's links disagree");
    PAGODA_CHECK(++num_listed < num_blocks(), "the free list is a ring");
    prev = block;
  }
  int32_t num_used = 0;
  for (BlockId block = 1; block < num_blocks(); ++block) num_used += ref_count(block) > 0;
  PAGODA_CHECK(num_listed == num_free_, "the free list has lost a block");
  PAGODA_CHECK(num_free_ + num_used == num_blocks() - 1, "free + used is not the total");
}

}  // namespace pagoda
