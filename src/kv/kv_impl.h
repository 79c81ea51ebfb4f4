// The state behind KvManager: kv_manager.cc is tables and references, prefix_cache.cc what can be found,
// offload.cc what lies outside. Private to the kv room.
#pragma once
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "kv/block_pool.h"
#include "kv/group_blocks.h"
#include "kv/kv_manager.h"
#include "kv/offload_index.h"
#include "kv/prefix_index.h"
#include "kv/residency_sampler.h"

namespace pagoda {

struct KvManager::Impl {
  Impl(std::vector<KvGroupSpec> groups, int32_t num_blocks, const PrefixCacheConfig& config);

  // ---- kv_manager.cc
  void open(SeqKv* seq) const {
    if (seq->groups.empty()) seq->groups.resize(groups.size());
  }
  void free_out_of_window(std::size_t group, GroupTable* table, int32_t num_computed);
  void append_state(std::size_t group, GroupTable* table, int32_t num_computed, int32_t num_tokens);
  BlockId allocate(std::size_t group);  // a block without content; what it held can no longer be found
  void ref(BlockId block, std::size_t group) {
    num_used[group] += pool.ref_count(block) == 0;
    pool.ref(block);
  }
  void share(BlockId block, std::size_t group) {  // a hit
    ref(block, group);
    if (residency) residency->on_found(block);
  }
  void unref(BlockId block, std::size_t group) {
    pool.unref(block, index.holds(block));
    num_used[group] -= pool.ref_count(block) == 0;
  }
  bool is_state(std::size_t group) const { return groups[group].kind == KvKind::kRecurrentState; }

  // ---- prefix_cache.cc
  bool replays() const { return config.replay_tokens > 0; }
  // Whether the group's blocks take part in the prefix cache.
  bool is_cached(std::size_t group) const {
    return !replays() || groups[group].kind != KvKind::kSlidingWindow;
  }
  // The first block of the group that the position behind `end` blocks sees.
  int32_t first_needed(std::size_t group, int32_t end) const {
    return first_visible(groups[group], end * block_size);
  }
  bool is_needed(std::size_t group, int32_t block, int32_t end) const {
    return is_cached(group) && block >= first_needed(group, end);
  }
  // The most blocks, up to num_full, behind which a sequence that holds the first `begin` of them can go on:
  // of each cached group all that is visible from there is found(index, group).
  template <class Found>
  int32_t matched_end(int32_t begin, int32_t num_full, Found&& found) const {
    int32_t end = num_full;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      if (!sees_all(groups[g])) continue;
      int32_t run = begin;
      while (run < end && found(run, g)) ++run;
      end = run;
    }
    for (std::size_t g = 0; g < groups.size() && end > begin;) {
      if (sees_all(groups[g]) || !is_cached(g)) {
        ++g;
        continue;
      }
      const int32_t first = std::max(first_needed(g, end), begin);
      int32_t i = end;
      while (i > first && found(i - 1, g)) --i;
      if (i <= first) {
        ++g;
      } else {  // block i - 1 is missing: all groups end before it, and are matched again
        end = i - 1;
        g = 0;
      }
    }
    return end;
  }
  void make_keys(SeqKv* seq, const TokenView& tokens, const CacheScope& scope, int32_t num_blocks);
  int32_t learn_contents(SeqKv* seq, const TokenView& tokens, int32_t begin, int32_t num_full);
  int32_t resume_at(int32_t end) const;
  int32_t start_behind(SeqKv* seq, int32_t end);
  bool cache_block(SeqKv* seq, const TokenView& tokens, int32_t index_in_seq, bool* is_new);
  void cache_checkpoint(SeqKv* seq, const TokenView& tokens, int32_t num_computed, const CacheScope& scope);
  void insert(BlockId block, const SeqKv& seq, const TokenView& tokens, int32_t index_in_seq,
              std::size_t group, uint64_t content);
  BlockId find(const SeqKv& seq, const TokenView& tokens, int32_t index_in_seq, std::size_t group);
  void forget(BlockId block);
  void note_stored(const SeqKv& seq, const TokenView& tokens, int32_t index_in_seq, const CacheScope& scope);

  // ---- offload.cc
  struct Offloaded {
    int32_t index, group;
    OffloadIndex::Where where;
  };
  // How many tokens need not be computed, of a sequence that has just been matched.
  int32_t num_tokens_held(const SeqKv& seq) const {
    std::size_t num_blocks = seq.groups[0].blocks.size();
    for (const GroupTable& table : seq.groups) num_blocks = std::min(num_blocks, table.blocks.size());
    return static_cast<int32_t>(num_blocks) * block_size;
  }
  bool is_within_reach(const BlockKey& key, int32_t group, OffloadIndex::Where least) const;
  int32_t reachable_end(const SeqKv& seq, int32_t begin, int32_t num_full, OffloadIndex::Where least) const;
  std::vector<Offloaded> missing_blocks(const SeqKv& seq, int32_t begin, std::size_t room,
                                        int32_t* end) const;
  bool pin(const SeqKv& seq, int32_t begin, int32_t end);
  bool attach(SeqKv* seq, int32_t i, int32_t end);

  const std::vector<KvGroupSpec> groups;
  const int32_t block_size;
  const PrefixCacheConfig config;
  BlockPool pool;
  std::vector<int32_t> num_used;  // by group: blocks with references
  PrefixIndex index;
  BlockHasher hasher;

  // What a cached block was computed from, kept where a key alone is not trusted (is_xxhash): number of this
  // content, of the one before it in its sequence (0: none), and its tokens.
  struct Content {
    uint64_t id = 0, parent = 0;
  };
  bool verifies() const { return is_xxhash(config.hash_algo); }
  std::span<TokenId> tokens_of(BlockId block) {
    return std::span(content_tokens)
        .subspan(static_cast<std::size_t>(block) * static_cast<std::size_t>(block_size),
                 static_cast<std::size_t>(block_size));
  }
  // Valid until the next call.
  std::span<const TokenId> block_tokens(const TokenView& tokens, std::size_t index_in_seq) {
    const auto size = static_cast<std::size_t>(block_size);
    return tokens.slice(index_in_seq * size, size, &straddling);
  }
  std::vector<TokenId> straddling;      // of a block with the prompt's end and the output's beginning
  std::vector<Content> contents;        // [num_blocks]
  std::vector<TokenId> content_tokens;  // [num_blocks, block_size]
  uint64_t next_content = 1;

  std::vector<KvEvent> events;
  std::optional<ResidencySampler> residency;

  std::optional<OffloadIndex> offload;
  uint64_t offload_queries = 0, offload_hits = 0, offload_disk_hits = 0;  // blocks
  double offload_store_s = 0, offload_load_s = 0;
};

}  // namespace pagoda
