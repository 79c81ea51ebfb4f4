// The part of KvManager that finds: keys of full blocks, matches, publication and forgetting.
#include <algorithm>

#include "base/check.h"
#include "kv/kv_impl.h"

namespace pagoda {
namespace {

int32_t num_blocks_of(const GroupTable& table) {
  return static_cast<int32_t>(table.blocks.size());
}

}  // namespace

// Keys of the first num_blocks full blocks; those that are known stay.
void KvManager::Impl::make_keys(SeqKv* seq, const TokenView& tokens, const CacheScope& scope,
                                int32_t num_blocks) {
  for (std::size_t i = seq->keys.size(); i < static_cast<std::size_t>(num_blocks); ++i)
    seq->keys.push_back(
        hasher.next(i == 0 ? hasher.root() : seq->keys[i - 1], block_tokens(tokens, i), scope, i == 0));
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

int32_t KvManager::match(SeqKv* seq, const TokenView& tokens, const CacheScope& scope) {
  Impl& impl = *impl_;
  impl.open(seq);
  const int32_t before = num_blocks_of(seq->groups[0]);
  const int32_t num_full = (static_cast<int32_t>(tokens.size()) - 1) / impl.block_size;
  if (!impl.config.enabled || num_full <= before) return before * impl.block_size;
  impl.make_keys(seq, tokens, scope, num_full);
  const int32_t found =
      before == 0 ? impl.match_start(seq, tokens, num_full) : impl.match_more(seq, tokens, num_full);
  seq->num_published = std::max(seq->num_published, found);
  return found * impl.block_size;
}

// A sequence that holds nothing. Groups that see everything must have every block; of a windowed one only
// what the next position sees is needed.
int32_t KvManager::Impl::match_start(SeqKv* seq, const TokenView& tokens, int32_t num_full) {
  int32_t found = num_full;
  if (verifies()) {  // numbers of the contents along the way, as far as any group knows them
    seq->contents.clear();
    for (int32_t i = 0; i < num_full; ++i) {
      BlockId block = kNullBlock;
      for (std::size_t g = 0; g < groups.size() && block == kNullBlock; ++g) block = find(*seq, tokens, i, g);
      if (block == kNullBlock) break;
      seq->contents.push_back(contents[static_cast<std::size_t>(block)].id);
    }
    found = static_cast<int32_t>(seq->contents.size());
  }
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].window > 0) continue;
    int32_t run = 0;
    while (run < found && find(*seq, tokens, run, g) != kNullBlock) ++run;
    found = run;
  }
  // The first block that position found * block_size sees.
  auto first_visible = [&](const KvGroupSpec& group, int32_t end) {
    return group.window == 0 ? 0 : std::max(end * block_size - group.window + 1, 0) / block_size;
  };
  for (std::size_t g = 0; g < groups.size() && found > 0;) {
    if (groups[g].window == 0) {
      ++g;
      continue;
    }
    int32_t begin = first_visible(groups[g], found), i = found;
    while (i > begin && find(*seq, tokens, i - 1, g) != kNullBlock) --i;
    if (i <= begin) {
      ++g;
    } else {  // block i - 1 is missing: everybody ends before it, and the others are asked again
      found = i - 1;
      g = 0;
    }
  }
  if (verifies()) seq->contents.resize(static_cast<std::size_t>(found));
  for (std::size_t g = 0; g < groups.size(); ++g) {
    GroupTable& table = seq->groups[g];
    table.num_behind = found == 0 ? 0 : std::min(first_visible(groups[g], found), found);
    for (int32_t i = 0; i < found; ++i) {
      BlockId block = i < table.num_behind ? kNullBlock : find(*seq, tokens, i, g);
      if (block != kNullBlock) share(block);
      table.blocks.push_back(block);
    }
  }
  return found;
}

// A sequence that has computed full blocks and meets one that somebody else has computed since.
int32_t KvManager::Impl::match_more(SeqKv* seq, const TokenView& tokens, int32_t num_full) {
  int32_t end = num_blocks_of(seq->groups[0]);
  for (; end < num_full; ++end) {
    bool all = true;
    for (std::size_t g = 0; g < groups.size() && all; ++g) all = find(*seq, tokens, end, g) != kNullBlock;
    if (!all) break;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      BlockId block = find(*seq, tokens, end, g);
      share(block);
      seq->groups[g].blocks.push_back(block);
      if (verifies() && g == 0) seq->contents.push_back(contents[static_cast<std::size_t>(block)].id);
    }
  }
  return end;
}

void KvManager::publish(SeqKv* seq, const TokenView& tokens, int32_t num_tokens, const CacheScope& scope) {
  Impl& impl = *impl_;
  const int32_t num_full = num_tokens / impl.block_size;
  if (!impl.config.enabled || num_full <= seq->num_published) return;
  impl.make_keys(seq, tokens, scope, num_full);
  for (int32_t i = seq->num_published; i < num_full; ++i) {
    const auto at = static_cast<std::size_t>(i);
    uint64_t content = 0;
    if (impl.verifies()) {
      if (seq->contents.size() < at) break;  // a key of this sequence belongs to somebody else's content
      seq->contents.resize(at);
      for (std::size_t g = 0; g < impl.groups.size() && content == 0; ++g) {
        BlockId known = impl.find(*seq, tokens, i, g);
        if (known != kNullBlock) content = impl.contents[static_cast<std::size_t>(known)].id;
      }
      if (content == 0) content = impl.next_content++;
    }
    bool is_new = false, is_known = false;
    for (std::size_t g = 0; g < impl.groups.size(); ++g) {
      const BlockId block = seq->groups[g].blocks[at],
                    owner = impl.index.find(seq->keys[at], static_cast<int32_t>(g));
      is_known |= owner != kNullBlock;
      if (block == kNullBlock || owner != kNullBlock || impl.index.holds(block)) continue;
      impl.index.insert(block, seq->keys[at], static_cast<int32_t>(g));
      is_new = true;
      if (!impl.verifies()) continue;
      impl.contents[static_cast<std::size_t>(block)] = {content, i == 0 ? 0 : seq->contents[at - 1]};
      std::ranges::copy(impl.block_tokens(tokens, at), impl.tokens_of(block).begin());
    }
    if (impl.verifies()) {
      bool mine = false;  // the key leads to this content, not to one that happens to have the same key
      for (std::size_t g = 0; g < impl.groups.size() && !mine; ++g)
        mine = impl.find(*seq, tokens, i, g) != kNullBlock;
      if (!mine) break;
      seq->contents.push_back(content);
    }
    seq->num_published = i + 1;
    if (is_new && !is_known && impl.config.record_events) impl.note_stored(*seq, tokens, i, scope.lora_id);
  }
}

void KvManager::unpublish(SeqKv* seq, int32_t num_tokens) {
  const auto first = static_cast<std::size_t>(num_tokens / impl_->block_size);
  for (GroupTable& table : seq->groups) {
    for (std::size_t i = first; i < table.blocks.size(); ++i)
      if (impl_->index.holds(table.blocks[i])) {
        const BlockId block = table.blocks[i];
        if (impl_->offload) impl_->offload->erase(impl_->index.key(block), impl_->index.group(block));
        impl_->forget(block);
      }
  }
}

// Its content can no longer be found. A content is gone when its last group has forgotten it; the first
// group's word is enough for those who are told.
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
                                  uint32_t lora_id) {
  const auto i = static_cast<std::size_t>(index_in_seq);
  const bool follows = !events.empty() && events.back().kind == KvEvent::Kind::kStored && i > 0 &&
                       events.back().lora_id == lora_id && events.back().keys.back() == seq.keys[i - 1];
  if (!follows) {
    KvEvent& event = events.emplace_back();
    event.block_size = block_size;
    event.lora_id = lora_id;
    if (i > 0) event.parent = seq.keys[i - 1];
  }
  events.back().keys.push_back(seq.keys[i]);
  const auto stored = block_tokens(tokens, i);
  events.back().tokens.insert(events.back().tokens.end(), stored.begin(), stored.end());
}

void KvManager::reset_prefix_cache() {
  impl_->index.clear();
  if (impl_->offload) impl_->offload->clear();
  if (impl_->lives) impl_->lives->clear();
  if (!impl_->config.record_events) return;
  impl_->events.emplace_back().kind = KvEvent::Kind::kCleared;
}

}  // namespace pagoda
