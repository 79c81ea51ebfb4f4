// The part of KvManager that finds: keys of full blocks, matches, what is cached and uncached, and the events
// that tell of it. Events are those of the first group, whose blocks every hit needs: a content is stored and
// removed with its block there.
#include <algorithm>

#include "kv/kv_impl.h"

namespace pagoda {

// Keys of the first num_blocks full blocks; those that are known stay.
void KvManager::Impl::make_keys(SeqKv* seq, const TokenView& tokens, const CacheScope& scope,
                                int32_t num_blocks) {
  for (std::size_t i = seq->keys.size(); i < static_cast<std::size_t>(num_blocks); ++i)
    seq->keys.push_back(hasher.next(i == 0 ? hasher.root() : seq->keys[i - 1], block_tokens(tokens, i),
                                    static_cast<int32_t>(i) * block_size, scope));
}

// The cached block of the sequence's block number `index_in_seq`, or kNullBlock. Where keys are not trusted,
// tokens and the content before must be the same, which makes the whole prefix the same.
BlockId KvManager::Impl::find(const SeqKv& seq, const TokenView& tokens, int32_t index_in_seq,
                              std::size_t group) {
  const auto i = static_cast<std::size_t>(index_in_seq);
  const BlockId block = index.find(seq.keys[i], static_cast<int32_t>(group));
  if (block == kNullBlock || !verifies()) return block;
  if (seq.contents.size() < i) return kNullBlock;
  const Content& content = contents[static_cast<std::size_t>(block)];
  const bool same = content.parent == (i == 0 ? 0 : seq.contents[i - 1]) &&
                    std::ranges::equal(tokens_of(block), block_tokens(tokens, i));
  return same ? block : kNullBlock;
}

// Numbers of the contents of blocks [begin, num_full) along the way, as far as any group knows them. Returns
// the block where they end.
int32_t KvManager::Impl::learn_contents(SeqKv* seq, const TokenView& tokens, int32_t begin,
                                        int32_t num_full) {
  if (seq->contents.size() < static_cast<std::size_t>(begin)) return begin;
  seq->contents.resize(static_cast<std::size_t>(begin));
  for (int32_t i = begin; i < num_full; ++i) {
    BlockId block = kNullBlock;
    for (std::size_t g = 0; g < groups.size() && block == kNullBlock; ++g) block = find(*seq, tokens, i, g);
    if (block == kNullBlock) break;
    seq->contents.push_back(contents[static_cast<std::size_t>(block)].id);
  }
  return static_cast<int32_t>(seq->contents.size());
}

// The block with which computing goes on when `end` of them are found.
int32_t KvManager::Impl::resume_at(int32_t end) const {
  return std::max(end * block_size - config.replay_tokens, 0) / block_size;
}

int32_t KvManager::match(SeqKv* seq, const TokenView& tokens, const CacheScope& scope) {
  Impl& impl = *impl_;
  impl.open(seq);
  const auto begin = static_cast<int32_t>(seq->groups[0].blocks.size());
  if (impl.replays() && begin > 0) return 0;
  int32_t num_full = (static_cast<int32_t>(tokens.size()) - 1) / impl.block_size;
  if (!impl.config.enabled || num_full <= begin) return begin * impl.block_size;
  impl.make_keys(seq, tokens, scope, num_full);
  if (impl.verifies()) num_full = impl.learn_contents(seq, tokens, begin, num_full);
  const int32_t end = impl.matched_end(
      begin, num_full, [&](int32_t i, std::size_t g) { return impl.find(*seq, tokens, i, g) != kNullBlock; });
  if (impl.verifies()) seq->contents.resize(static_cast<std::size_t>(end));
  if (impl.resume_at(end) <= begin) return begin * impl.block_size;
  for (std::size_t g = 0; g < impl.groups.size(); ++g) {
    if (!impl.is_cached(g)) continue;
    GroupTable& table = seq->groups[g];
    impl.free_out_of_window(g, &table, end * impl.block_size);
    for (int32_t i = begin; i < end; ++i) {
      const bool is_visible = i >= impl.first_needed(g, end);
      const BlockId block = is_visible ? impl.find(*seq, tokens, i, g) : kNullBlock;
      if (is_visible)
        impl.share(block, g);
      else
        table.num_out_of_window = i + 1;
      table.blocks.push_back(block);
    }
  }
  return impl.start_behind(seq, end);
}

// The tables of the cached groups have `end` blocks. Returns how many tokens need not be computed.
int32_t KvManager::Impl::start_behind(SeqKv* seq, int32_t end) {
  seq->num_cached = std::max(seq->num_cached, end);
  if (!replays()) return end * block_size;
  seq->replay_end = end * block_size;
  const int32_t begin = resume_at(end);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (is_cached(g)) continue;
    seq->groups[g].blocks.resize(static_cast<std::size_t>(begin), kNullBlock);
    seq->groups[g].num_out_of_window = begin;
  }
  return begin * block_size;
}

void KvManager::cache_blocks(SeqKv* seq, const TokenView& tokens, int32_t num_computed, int32_t num_tokens,
                             const CacheScope& scope) {
  Impl& impl = *impl_;
  if (!impl.config.enabled) return;
  const int32_t num_full = num_tokens / impl.block_size;
  impl.make_keys(seq, tokens, scope, num_full);
  for (int32_t i = seq->num_cached; i < num_full; ++i) {
    bool is_new = false;
    if (!impl.cache_block(seq, tokens, i, &is_new)) break;
    seq->num_cached = i + 1;
    if (is_new && impl.config.record_events) impl.note_stored(*seq, tokens, i, scope);
  }
  impl.cache_checkpoint(seq, tokens, num_computed, scope);
}

// Block i of the sequence in all groups but those of states. is_new: events tell of it. False: its key
// belongs to another content.
bool KvManager::Impl::cache_block(SeqKv* seq, const TokenView& tokens, int32_t index_in_seq, bool* is_new) {
  const auto at = static_cast<std::size_t>(index_in_seq);
  uint64_t content = 0;
  auto known = [&] {
    BlockId block = kNullBlock;
    for (std::size_t g = 0; g < groups.size() && block == kNullBlock; ++g)
      block = find(*seq, tokens, index_in_seq, g);
    return block;
  };
  if (verifies()) {
    if (seq->contents.size() < at) return false;
    seq->contents.resize(at);
    const BlockId same = known();
    content = same != kNullBlock ? contents[static_cast<std::size_t>(same)].id : next_content++;
  }
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (is_state(g) || !is_cached(g)) continue;
    const BlockId block = seq->groups[g].blocks[at];
    if (block == kNullBlock || index.holds(block)) continue;
    if (index.find(seq->keys[at], static_cast<int32_t>(g)) != kNullBlock) continue;
    insert(block, *seq, tokens, index_in_seq, g, content);
    *is_new |= g == 0;
  }
  if (!verifies()) return true;
  if (known() == kNullBlock) return false;
  seq->contents.push_back(content);
  return true;
}

// The states that lie at num_computed. They can be found once the blocks before them can.
void KvManager::Impl::cache_checkpoint(SeqKv* seq, const TokenView& tokens, int32_t num_computed,
                                       const CacheScope& scope) {
  const int32_t i = num_computed / block_size - 1;
  if (num_computed % block_size != 0 || i < 0 || i >= seq->num_cached) return;
  const auto at = static_cast<std::size_t>(i);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (!is_state(g)) continue;
    const BlockId block = seq->groups[g].blocks[at];
    if (block == kNullBlock || index.holds(block)) continue;
    if (index.find(seq->keys[at], static_cast<int32_t>(g)) != kNullBlock) continue;
    insert(block, *seq, tokens, i, g, verifies() ? seq->contents[at] : 0);
    if (g == 0 && config.record_events) note_stored(*seq, tokens, i, scope);
  }
}

void KvManager::Impl::insert(BlockId block, const SeqKv& seq, const TokenView& tokens, int32_t index_in_seq,
                             std::size_t group, uint64_t content) {
  const auto at = static_cast<std::size_t>(index_in_seq);
  index.insert(block, seq.keys[at], static_cast<int32_t>(group));
  if (!verifies()) return;
  contents[static_cast<std::size_t>(block)] = {content, at == 0 ? 0 : seq.contents[at - 1]};
  std::ranges::copy(block_tokens(tokens, at), tokens_of(block).begin());
}

void KvManager::uncache(const SeqKv& seq) {
  Impl& impl = *impl_;
  for (const BlockKey& key : seq.keys) {
    for (std::size_t g = 0; g < impl.groups.size(); ++g) {
      const auto group = static_cast<int32_t>(g);
      if (impl.offload) impl.offload->erase(key, group);
      const BlockId block = impl.index.find(key, group);
      if (block != kNullBlock) impl.forget(block);
    }
  }
}

// Its content can no longer be found.
void KvManager::Impl::forget(BlockId block) {
  if (config.record_events && index.group(block) == 0) {
    if (events.empty() || events.back().kind != KvEvent::Kind::kRemoved) {
      events.emplace_back().kind = KvEvent::Kind::kRemoved;
      events.back().block_size = block_size;
    }
    events.back().keys.push_back(index.key(block));
  }
  index.erase(block);
}

void KvManager::Impl::note_stored(const SeqKv& seq, const TokenView& tokens, int32_t index_in_seq,
                                  const CacheScope& scope) {
  const auto i = static_cast<std::size_t>(index_in_seq);
  const bool follows = !events.empty() && events.back().kind == KvEvent::Kind::kStored && i > 0 &&
                       events.back().lora_id == scope.lora_id && events.back().keys.back() == seq.keys[i - 1];
  if (!follows) {
    KvEvent& event = events.emplace_back();
    event.block_size = block_size;
    event.lora_id = scope.lora_id;
    if (i > 0) event.parent = seq.keys[i - 1];
  }
  KvEvent& event = events.back();
  const int32_t begin = index_in_seq * block_size;
  for (const ExtraKey& extra : extra_keys_in(scope, begin, static_cast<std::size_t>(block_size)))
    event.extra_keys.push_back({static_cast<int32_t>(event.keys.size()), extra.begin - begin, extra.hash});
  event.keys.push_back(seq.keys[i]);
  const auto stored = block_tokens(tokens, i);
  event.tokens.insert(event.tokens.end(), stored.begin(), stored.end());
}

void KvManager::reset_prefix_cache() {
  impl_->index.clear();
  if (impl_->offload) impl_->offload->clear();
  if (impl_->residency) impl_->residency->clear();
  if (!impl_->config.record_events) return;
  impl_->events.emplace_back().kind = KvEvent::Kind::kCleared;
}

}  // namespace pagoda
