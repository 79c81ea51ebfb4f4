// The state behind KvManager: kv_manager.cc is tables and references, prefix_cache.cc what can be found.
// Private to the kv room.
#pragma once
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "kv/block_lives.h"
#include "kv/block_pool.h"
#include "kv/kv_manager.h"
#include "kv/offload_index.h"
#include "kv/prefix_index.h"

namespace pagoda {

struct KvManager::Impl {
  Impl(std::vector<KvGroupSpec> groups, int32_t num_blocks, const PrefixCacheConfig& config);

  // ---- kv_manager.cc
  void open(SeqKv* seq) const {
    if (seq->groups.empty()) seq->groups.resize(groups.size());
  }
  void drop_behind(const KvGroupSpec& group, GroupTable* table, int32_t num_computed);
  BlockId allocate();          // a block without content; what it held can no longer be found
  void share(BlockId block) {  // somebody has found it
    pool.ref(block);
    if (lives) lives->on_found(block);
  }
  void unref(BlockId block) { pool.unref(block, index.holds(block)); }

  // ---- prefix_cache.cc
  void make_keys(SeqKv* seq, const TokenView& tokens, const CacheScope& scope, int32_t num_blocks);
  int32_t match_start(SeqKv* seq, const TokenView& tokens, int32_t num_full);
  int32_t match_more(SeqKv* seq, const TokenView& tokens, int32_t num_full);
  BlockId find(const SeqKv& seq, const TokenView& tokens, int32_t index_in_seq, std::size_t group);
  void forget(BlockId block);
  void note_stored(const SeqKv& seq, const TokenView& tokens, int32_t index_in_seq, uint32_t lora_id);

  // ---- offload.cc
  struct Offloaded {
    int32_t index, group;
    OffloadIndex::Where where;
  };
  // The first block that position end * block_size sees.
  int32_t first_visible(const KvGroupSpec& group, int32_t end) const {
    return group.window == 0 ? 0 : std::max(end * block_size - group.window + 1, 0) / block_size;
  }
  bool is_within_reach(const BlockKey& key, int32_t group, OffloadIndex::Where least) const;
  int32_t matched_end(const SeqKv& seq, int32_t begin, int32_t num_full, OffloadIndex::Where least) const;
  std::vector<Offloaded> missing_blocks(const SeqKv& seq, int32_t begin, std::size_t room,
                                        int32_t* end) const;
  bool pin(const SeqKv& seq, int32_t begin, int32_t end);
  bool attach(SeqKv* seq, int32_t i, int32_t end);

  const std::vector<KvGroupSpec> groups;
  const int32_t block_size;
  const PrefixCacheConfig config;
  BlockPool pool;
  PrefixIndex index;
  BlockHasher hasher;

  // What a cached block was computed from, kept where a key alone is not trusted (kXxhash): number of this
  // content, of the one before it in its sequence (0: none), and its tokens.
  struct Content {
    uint64_t id = 0, parent = 0;
  };
  bool verifies() const { return config.hash_algo == BlockHashAlgo::kXxhash; }
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
  std::optional<BlockLives> lives;

  std::optional<OffloadIndex> offload;
  uint64_t offload_queries = 0, offload_hits = 0, offload_disk_hits = 0;  // blocks
  double offload_store_s = 0, offload_load_s = 0;
};

}  // namespace pagoda
