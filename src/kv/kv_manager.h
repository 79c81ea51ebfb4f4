// The kv room: which block of the cache holds what. Pure bookkeeping of ids, reference counts and tables: no tensors,
// no Requests, no clocks. Owned and used by the scheduler, on the engine thread.
// Invariant: free + used = num_blocks - 1 (block 0 is the null block, never given out), and a block is free exactly if
// nobody references it.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "contract/step_plan.h"
#include "contract/types.h"

namespace pagoda {

struct KvGroupConfig {
  int32_t block_size;
  int32_t window;  // 0: all tokens stay
};

// One sequence's blocks; owned by the scheduler's sequence, filled by KvManager only.
struct SeqKv {
  std::vector<std::vector<BlockId>> table;  // [group][index]
  int32_t num_cached = 0;                   // tokens found in the prefix cache
};

class KvManager {
 public:
  KvManager(std::vector<KvGroupConfig> groups, int32_t num_blocks);
  ~KvManager();

  // Tokens of the prompt that are already in the cache (< tokens.size()); takes references. 0 until prefix caching is on.
  int32_t match(SeqKv* seq, std::span<const TokenId> tokens, std::span<const uint8_t> extra);
  // Makes room for num_tokens tokens in all groups, appending blocks; all or nothing. What was added goes to the plan's
  // vectors as entries of `row`. False: too few free blocks, nothing changed.
  bool reserve(SeqKv* seq, int32_t num_tokens, int32_t row, std::vector<NewBlocks>* new_blocks,
               std::vector<BlockId>* block_ids);
  // `to` shares the full blocks of the first num_tokens tokens of `from`; a partial last block is copied: an entry per
  // group in `copies`. False: too few free blocks, nothing changed. Requires: `to` is empty.
  bool fork(const SeqKv& from, int32_t num_tokens, SeqKv* to, std::vector<BlockCopy>* copies);
  // Gives everything back, tail first.
  void release(SeqKv* seq);

  int32_t num_free() const;
  int32_t num_blocks() const;
  int32_t num_groups() const;
  int32_t block_size() const;  // of group 0
  double usage() const;        // 1 - free / (num_blocks - 1)
  void check() const;          // conservation; O(blocks)

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
