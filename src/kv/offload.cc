// The part of KvManager that loads offloaded content.
#include <algorithm>

#include "base/check.h"
#include "kv/kv_impl.h"

namespace pagoda {
namespace {

using Where = OffloadIndex::Where;
constexpr int32_t kMaxFetches = 16;  // rounds of fetches that a sequence waits for in its life

int32_t num_blocks_of(const SeqKv& seq) {
  return static_cast<int32_t>(seq.groups[0].blocks.size());
}

}  // namespace

bool KvManager::has_offload() const {
  return impl_->offload.has_value();
}

// In the cache, or `least` offloaded.
bool KvManager::Impl::is_within_reach(const BlockKey& key, int32_t group, Where least) const {
  return index.find(key, group) != kNullBlock || offload->where(key, group) >= least;
}

int32_t KvManager::Impl::reachable_end(const SeqKv& seq, int32_t begin, int32_t num_full, Where least) const {
  return matched_end(begin, num_full, [&](int32_t i, std::size_t g) {
    return is_within_reach(seq.keys[static_cast<std::size_t>(i)], static_cast<int32_t>(g), least);
  });
}

// The offloaded blocks that the sequence needs in order to have `end` blocks: no more than `room`, in order;
// `end` becomes less where that is too little.
std::vector<KvManager::Impl::Offloaded> KvManager::Impl::missing_blocks(const SeqKv& seq, int32_t begin,
                                                                        std::size_t room,
                                                                        int32_t* end) const {
  std::vector<Offloaded> missing;
  while (*end > begin) {
    missing.clear();
    for (int32_t i = begin; i < *end; ++i) {
      const BlockKey& key = seq.keys[static_cast<std::size_t>(i)];
      for (std::size_t g = 0; g < groups.size(); ++g) {
        const auto group = static_cast<int32_t>(g);
        if (is_needed(g, i, *end) && index.find(key, group) == kNullBlock)
          missing.push_back({i, group, offload->where(key, group)});
      }
    }
    if (missing.size() <= room) return missing;
    *end = reachable_end(seq, begin, missing[room].index, Where::kDisk);
  }
  return {};
}

bool KvManager::start_fetch(SeqKv* seq, const TokenView& tokens, const CacheScope& scope) {
  Impl& impl = *impl_;
  if (!impl.offload || seq->num_fetches >= kMaxFetches) return false;
  OffloadIndex& offload = *impl.offload;
  impl.open(seq);
  const int32_t begin = num_blocks_of(*seq);
  const int32_t num_full = (static_cast<int32_t>(tokens.size()) - 1) / impl.block_size;
  if (num_full <= begin) return false;
  impl.make_keys(seq, tokens, scope, num_full);
  int32_t end = impl.reachable_end(*seq, begin, num_full, Where::kDisk);
  // The rest of the slots is for what is evicted meanwhile.
  const auto limit = std::max(offload.num_slots() - offload.num_slots() / 4 - 1, 1);
  const std::vector<Impl::Offloaded> missing =
      impl.missing_blocks(*seq, begin, static_cast<std::size_t>(limit), &end);
  auto key_of = [&](const Impl::Offloaded& one) { return seq->keys[static_cast<std::size_t>(one.index)]; };
  int32_t num_on_disk = 0;
  bool waits = false;
  for (const Impl::Offloaded& one : missing) {
    num_on_disk += one.where == Where::kDisk;
    waits |= one.where == Where::kComing;
    if (one.where == Where::kMemory)
      offload.touch(key_of(one), one.group);  // so that no fetch takes its slot
  }
  const bool must_queue = num_on_disk > limit - offload.num_fetching();  // behind fetches of other sequences
  for (const Impl::Offloaded& one : missing) {
    if (must_queue || one.where != Where::kDisk) continue;
    if (!offload.fetch(key_of(one), one.group)) break;
    waits = true;
  }
  if (!waits && !must_queue) return false;
  seq->fetch_until = offload.last_fetch();
  ++seq->num_fetches;
  return true;
}

bool KvManager::is_fetching(const SeqKv& seq) const {
  return impl_->offload && impl_->offload->is_fetching(seq.fetch_until);
}

// Takes references to the blocks that lie in the cache and holds the slots of those that do not. False: too
// few free blocks, nothing changed.
bool KvManager::Impl::pin(const SeqKv& seq, int32_t begin, int32_t end) {
  auto for_each = [&](auto&& visit) {
    for (std::size_t g = 0; g < groups.size(); ++g)
      for (int32_t i = begin; i < end; ++i)
        if (is_needed(g, i, end)) visit(seq.keys[static_cast<std::size_t>(i)], static_cast<int32_t>(g));
  };
  int32_t needed = 0;
  for_each([&](const BlockKey& key, int32_t group) {
    const BlockId block = index.find(key, group);
    needed += block == kNullBlock || pool.ref_count(block) == 0;
  });
  if (needed > pool.num_free()) return false;
  for_each([&](const BlockKey& key, int32_t group) {
    const BlockId block = index.find(key, group);
    if (block != kNullBlock)
      ref(block, static_cast<std::size_t>(group));
    else
      offload->hold(key, group);
  });
  return true;
}

int32_t KvManager::load_offloaded(SeqKv* seq, const TokenView& tokens, const CacheScope& scope) {
  Impl& impl = *impl_;
  impl.open(seq);
  const int32_t begin = num_blocks_of(*seq);
  const int32_t num_full = (static_cast<int32_t>(tokens.size()) - 1) / impl.block_size;
  if (!impl.offload || num_full <= begin) return impl.num_tokens_held(*seq);
  impl.make_keys(seq, tokens, scope, num_full);
  impl.offload_queries += static_cast<uint64_t>(num_full - begin);
  const int32_t end = impl.reachable_end(*seq, begin, num_full, Where::kMemory);
  if (end == begin || impl.resume_at(end) == 0 || !impl.pin(*seq, begin, end))
    return impl.num_tokens_held(*seq);

  for (std::size_t g = 0; g < impl.groups.size(); ++g)
    if (impl.is_cached(g)) impl.free_out_of_window(g, &seq->groups[g], end * impl.block_size);
  for (int32_t i = begin; i < end; ++i)
    if (impl.attach(seq, i, end) && impl.config.record_events) impl.note_stored(*seq, tokens, i, scope);
  impl.offload_hits += static_cast<uint64_t>(end - begin);
  return impl.start_behind(seq, end);
}

// Appends block i of `end`, which is pinned, to the tables of the cached groups. True: events tell of it.
bool KvManager::Impl::attach(SeqKv* seq, int32_t i, int32_t end) {
  const BlockKey& key = seq->keys[static_cast<std::size_t>(i)];
  bool is_new = false, was_on_disk = false;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (!is_cached(g)) continue;
    const auto group = static_cast<int32_t>(g);
    GroupTable& table = seq->groups[g];
    BlockId block = index.find(key, group);
    if (!is_needed(g, i, end)) {
      table.blocks.push_back(kNullBlock);
      table.num_out_of_window = i + 1;
      continue;
    }
    if (block == kNullBlock) {
      block = allocate(g);
      was_on_disk |= offload->load(key, group, block);
      index.insert(block, key, group);
      is_new |= g == 0;
    }
    table.blocks.push_back(block);
  }
  offload_disk_hits += was_on_disk;
  return is_new;
}

void KvManager::take_moves(std::vector<OffloadMove>* moves) {
  if (impl_->offload) impl_->offload->take_moves(moves);
}

void KvManager::moves_ended(std::span<const OffloadMoveEnd> ended) {
  if (!impl_->offload) return;
  for (const OffloadMoveEnd& end : ended) impl_->offload->end(end);
}

void KvManager::add_offload_time(double store_s, double load_s) {
  impl_->offload_store_s += store_s;
  impl_->offload_load_s += load_s;
}

void KvManager::flush_to_disk() {
  Impl& impl = *impl_;
  if (!impl.offload || impl.config.offload_disk_slots == 0) return;
  for (BlockId block = impl.pool.older_free(kNullBlock); block != kNullBlock;
       block = impl.pool.older_free(block))
    if (impl.index.holds(block) &&
        !impl.offload->store(block, impl.index.key(block), impl.index.group(block)))
      return;
}

void KvManager::adopt_offload_files(std::span<const OffloadFile> files) {
  if (!impl_->offload) return;
  for (const OffloadFile& file : files) impl_->offload->adopt(file);
}

OffloadStats KvManager::offload_stats() const {
  if (!impl_->offload) return {};
  const Impl& impl = *impl_;
  OffloadStats stats = impl.offload->stats();
  const auto block_size = static_cast<uint64_t>(impl.block_size);
  stats.queried_tokens = impl.offload_queries * block_size;
  stats.hit_tokens = impl.offload_hits * block_size;
  stats.disk_hit_tokens = impl.offload_disk_hits * block_size;
  stats.store_s = impl.offload_store_s;
  stats.load_s = impl.offload_load_s;
  for (std::size_t g = 0; g < impl.groups.size(); ++g) {
    const auto group = static_cast<int32_t>(g);
    const uint64_t bytes = impl.groups[g].block_bytes;
    auto count = [&](OffloadMoveKind kind, uint64_t* num, uint64_t* num_bytes) {
      const uint64_t moves = impl.offload->num_moves(kind, group);
      *num += moves;
      *num_bytes += moves * bytes;
    };
    count(OffloadMoveKind::kStore, &stats.num_stores, &stats.store_bytes);
    count(OffloadMoveKind::kLoad, &stats.num_loads, &stats.load_bytes);
    count(OffloadMoveKind::kSpill, &stats.num_spills, &stats.spill_bytes);
    count(OffloadMoveKind::kFetch, &stats.num_fetches, &stats.fetch_bytes);
    stats.used_bytes += static_cast<uint64_t>(impl.offload->num_used_slots(group)) * bytes;
    stats.used_disk_bytes += static_cast<uint64_t>(impl.offload->num_used_disk_slots(group)) * bytes;
  }
  return stats;
}

}  // namespace pagoda
