// The kv room: which block of the cache holds what. Pure bookkeeping of ids, reference counts and tables: no
// tensors, no Requests, no clocks. Owned and used by the scheduler, on the engine thread. A block is shared
// by the tables that reference it, and only full blocks are ever shared: whoever writes owns alone. Order of
// a sequence's life: match (or fork) once while it is empty, reserve before each step, release at the end.
// Invariant: free + used = num_blocks - 1 (block 0 is the null block, never given out), and a block is free
// exactly if nobody references it.
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
  int32_t window;  // 0: all tokens stay; otherwise a position sees itself and the window - 1 before it
};

// One sequence's blocks in one group.
struct GroupTable {
  std::vector<BlockId> blocks;  // by index; kNullBlock where the window has moved past
  int32_t num_behind = 0;       // leading entries that are kNullBlock
  int32_t num_announced = 0;    // leading entries that a plan has carried to the runner
};
// One sequence's blocks; owned by the scheduler's sequence, filled by KvManager only. Empty: holds nothing.
struct SeqKv {
  std::vector<GroupTable> groups;
  int32_t num_cached = 0;  // tokens found in the prefix cache
};

class KvManager {
 public:
  // Requires: at least one group, block sizes > 0, num_blocks >= 1.
  KvManager(std::vector<KvGroupConfig> groups, int32_t num_blocks);
  ~KvManager();

  // Tokens of the prompt that are already in the cache (< tokens.size()); takes references. 0 until prefix
  // caching is on.
  int32_t match(SeqKv* seq, std::span<const TokenId> tokens, std::span<const uint8_t> extra);
  // Makes room for num_tokens tokens in all groups, appending blocks; all or nothing. First gives back what
  // no position from num_computed on can see. False: too few free blocks, nothing appended.
  bool reserve(SeqKv* seq, int32_t num_computed, int32_t num_tokens);
  // Table entries that the runner has not been told of, as entries of `row`. What has fallen behind a window
  // is not told: the runner's old entry stays and is never looked at.
  void announce(SeqKv* seq, int32_t row, std::vector<NewBlocks>* new_blocks, std::vector<BlockId>* block_ids);
  // `to` shares the full blocks of the first num_tokens tokens of `from`; a partial last block is copied: an
  // entry per group in `copies`. False: too few free blocks, nothing changed. Requires: `to` is empty; `from`
  // covers num_tokens.
  bool fork(const SeqKv& from, int32_t num_tokens, SeqKv* to, std::vector<BlockCopy>* copies);
  // Gives everything back, tail first.
  void release(SeqKv* seq);

  // The most blocks that a sequence of num_tokens tokens can hold at once when no step computes more than
  // max_step.
  int64_t blocks_needed(int32_t num_tokens, int32_t max_step) const;

  int32_t num_free() const;
  int32_t num_blocks() const;
  double usage() const;  // 1 - free / (num_blocks - 1)
  void check() const;    // conservation; O(blocks)
  // As check(), and the references are exactly those of these sequences. O(blocks + table entries).
  void check(std::span<const SeqKv* const> all) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
