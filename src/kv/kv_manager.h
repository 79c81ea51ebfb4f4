// The kv room: which block of the cache holds what. Pure bookkeeping of ids, keys, reference counts and
// tables: no tensors, no Requests, no clocks. Owned and used by the scheduler, on the engine thread. A block
// is shared by the tables that reference it, and only full blocks are ever shared: a block that is written
// has one owner. Order of a sequence's life: match (or fork) while it is empty, reserve and cache_blocks
// before each step, release at the end. Invariant: free + used = num_blocks - 1 (block 0 is the null block,
// never given out), and a block is free exactly if it has no references.
//
// A block is a page of the one pool, and belongs to one group at a time.
//
// Prefix cache: a full block whose tokens are known has a key (block_hash.h) and can be found by it from the
// moment a step is planned that computes it: a step writes all its K and V before any row attends, so that
// even requests of the same step share. A recurrent state can be found where a step has left it at a block's
// end, once the sequence's next step is planned: a checkpoint. A block without references keeps its content
// until it is the least recently used one, which is evicted; the end of a sequence goes before its beginning.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/small_vector.h"
#include "contract/engine_config.h"
#include "contract/kv_event.h"
#include "contract/kv_group.h"
#include "contract/kv_offload.h"
#include "contract/step_plan.h"
#include "contract/token_view.h"
#include "contract/types.h"
#include "kv/block_hash.h"

namespace pagoda {

// One sequence's blocks in one group.
struct GroupTable {
  // By index; kNullBlock where it is out of the window. Of a recurrent state: entry i is the state after the
  // tokens of block i, or of as many of them as are computed; only steps' ends have one.
  std::vector<BlockId> blocks;
  int32_t num_out_of_window = 0;  // leading entries that are kNullBlock
  int32_t num_sent = 0;           // leading entries that a plan has carried to the runner
};
// One sequence's blocks; owned by the scheduler's sequence, filled by KvManager only. Empty: holds nothing.
struct SeqKv {
  std::vector<GroupTable> groups;
  std::vector<BlockKey> keys;      // of its leading full blocks, as far as they are known; outlive release()
  std::vector<uint64_t> contents;  // the same, by number, where keys alone are not trusted (is_xxhash)
  int32_t num_cached = 0;          // leading blocks that are in the cache, or were and need not be again
  // Tokens before this are computed for the sake of the windows: the other groups have them from the cache.
  int32_t replay_end = 0;
  uint64_t fetch_until = 0;  // it waits for fetches from disk up to this one
  int32_t num_fetches = 0;   // rounds of them so far
};

// The residency of one block that PrefixCacheConfig.residency_sample has drawn, told when its content gave
// way.
struct BlockResidency {
  double lifetime_s = 0, idle_s = 0;    // since it was taken; since it was last found
  SmallVector<double, 3> reuse_gaps_s;  // between the last times that it was found
};

class KvManager {
 public:
  // Requires: at least one group, one block size > 0 for all, num_blocks >= 1. With replay_tokens: a group
  // that is no window, and no recurrent state.
  KvManager(std::vector<KvGroupSpec> groups, int32_t num_blocks, const PrefixCacheConfig& config = {});
  ~KvManager();

  // What time it is, for residencies of blocks.
  void begin_step(Time now);
  // Appends to the tables what the cache holds of `tokens` behind what the sequence holds already (nothing,
  // or full blocks), takes references, and returns how many tokens the tables now cover, a multiple of the
  // block size. Never the last token: its logits are wanted. All groups agree on what is found. With
  // replay_tokens: how many tokens need not be computed; fewer than the tables of the cached groups cover,
  // and 0 for a sequence that holds something.
  int32_t match(SeqKv* seq, const TokenView& tokens, const CacheScope& scope);
  // Makes room for num_tokens tokens in all groups, appending blocks; all or nothing. First gives back what
  // no position from num_computed on can see. False: too few free blocks, nothing appended.
  bool reserve(SeqKv* seq, int32_t num_computed, int32_t num_tokens);
  // The planned step computes the sequence from num_computed up to num_tokens: full blocks until there can be
  // found by others from now on. `tokens`: at least those. Nothing for guesses that may be rolled back. So
  // can be the recurrent state that the steps before have left at num_computed, if a block ends there.
  void cache_blocks(SeqKv* seq, const TokenView& tokens, int32_t num_computed, int32_t num_tokens,
                    const CacheScope& scope);
  // What was computed of this sequence is not fit to be read again: whatever is cached under its keys leaves
  // the cache and the offload memory, also what its tables do not hold, and what others have computed.
  void uncache(const SeqKv& seq);
  // Table entries that no plan has carried to the runner, as entries of `row`. That a block is out of the
  // window is not carried: the runner's old entry stays and is not read.
  void append_new_blocks(SeqKv* seq, int32_t row, std::vector<NewBlocks>* new_blocks,
                         std::vector<BlockId>* block_ids);
  // `to` shares the full blocks of the first num_tokens tokens of `from`; a partial last block is copied: an
  // entry per group in `copies`. False: too few free blocks, nothing changed. Requires: `to` is empty; `from`
  // covers num_tokens.
  bool fork(const SeqKv& from, int32_t num_tokens, SeqKv* to, std::vector<BlockCopy>* copies);
  // Gives everything back, tail first.
  void release(SeqKv* seq);
  // Nothing that was cached can be found any more, nor what is offloaded.
  void reset_prefix_cache();

  // ---- Offloading (PrefixCacheConfig.offload_slots; none where keys alone are not trusted). Evicted blocks
  // are stored in the offload memory, and loaded from it by key.
  bool has_offload() const;
  // Before match(): begins to fetch what lies on disk of `tokens` to the offload memory. True: it is worth
  // waiting until is_fetching() is false; so no more than a few times for one sequence.
  bool start_fetch(SeqKv* seq, const TokenView& tokens, const CacheScope& scope);
  bool is_fetching(const SeqKv& seq) const;
  // After match(), when the sequence is known to fit: appends blocks that the next plan's moves load from the
  // offload memory, and that can be found from now on. Returns as match() does; too few free blocks: no more
  // than before.
  int32_t load_offloaded(SeqKv* seq, const TokenView& tokens, const CacheScope& scope);
  // The moves since the last call, for the plan being made, whose last part this is.
  void take_moves(std::vector<OffloadMove>* moves);
  // Every spill and fetch that was taken must end once.
  void moves_ended(std::span<const OffloadMoveEnd> ended);
  // What a step's stores and loads took, in seconds.
  void add_offload_time(double store_s, double load_s);
  // The process is about to end: what the cache holds and the offload disk does not is stored and spilled,
  // the most recently used first, as far as there are slots. Requires: nothing cached is yet to be computed.
  void flush_to_disk();
  // The disk's files at start, in LRU order.
  void adopt_offload_files(std::span<const OffloadFile> files);
  OffloadStats offload_stats() const;

  // The most blocks that a sequence of num_tokens tokens can hold at once when no step computes more than
  // max_step.
  int64_t blocks_needed(int32_t num_tokens, int32_t max_step) const;
  // Entries of its tables that hold a block, of states the last one only; and how many blocks it shares with
  // no other sequence: what release() frees.
  int32_t num_held(const SeqKv& seq) const;
  int32_t num_exclusive(const SeqKv& seq) const;

  int32_t block_size() const;
  std::size_t num_groups() const;
  bool has_states() const;  // a group of recurrent states
  int32_t num_free() const;
  int32_t num_blocks() const;
  int32_t num_cached() const;             // blocks that can be found
  double usage() const;                   // 1 - free / (num_blocks - 1)
  double usage(std::size_t group) const;  // the group's share of it
  // Appended to `out` in order, when events are recorded.
  void take_events(std::vector<KvEvent>* out);
  // Appended to `out`: sampled residencies that have ended since the last call.
  void take_residencies(std::vector<BlockResidency>* out);
  void check() const;  // conservation; O(blocks)
  // As check(), and the references are exactly those of these sequences. O(blocks + table entries).
  void check(std::span<const SeqKv* const> all) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
