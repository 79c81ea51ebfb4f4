#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "kv/kv_impl.h"

namespace pagoda {
namespace {

int32_t ceil_div(int32_t a, int32_t b) {
  return (a + b - 1) / b;
}
int32_t size_of(const GroupTable& table) {
  return static_cast<int32_t>(table.blocks.size());
}

}  // namespace

KvManager::Impl::Impl(std::vector<KvGroupSpec> specs, int32_t num_blocks, const PrefixCacheConfig& cache)
    : groups(std::move(specs)),
      block_size(groups.empty() ? 0 : groups[0].block_size),
      config(cache),
      pool(num_blocks),
      index(num_blocks),
      hasher(cache.hash_algo, cache.hash_seed) {
  PAGODA_CHECK(!groups.empty() && block_size > 0, "a cache has a group and a block size");
  for (const KvGroupSpec& group : groups)
    PAGODA_CHECK(group.block_size == block_size && group.window >= 0, "all groups have one block size");
  if (config.enabled && !verifies() && config.offload_slots > 0)
    offload.emplace(config.offload_slots, config.offload_disk_slots);
  if (config.lifetime_sample > 0) lives.emplace(config.lifetime_sample);
  if (!config.enabled || !verifies()) return;
  contents.resize(static_cast<std::size_t>(num_blocks));
  content_tokens.resize(static_cast<std::size_t>(num_blocks) * static_cast<std::size_t>(block_size));
}

// Position num_computed sees back to num_computed - window + 1; blocks that end before it are never read
// again.
void KvManager::Impl::drop_behind(const KvGroupSpec& group, GroupTable* table, int32_t num_computed) {
  if (group.window == 0) return;
  int32_t first_visible = std::max(num_computed - group.window + 1, 0) / block_size;
  for (; table->num_behind < std::min(first_visible, size_of(*table)); ++table->num_behind) {
    BlockId& block = table->blocks[static_cast<std::size_t>(table->num_behind)];
    if (block != kNullBlock) unref(std::exchange(block, kNullBlock));
  }
}

BlockId KvManager::Impl::allocate() {
  BlockId block = pool.allocate();
  if (index.holds(block)) {
    if (offload) offload->store(block, index.key(block), index.group(block));
    if (lives) lives->on_evicted(block);
    forget(block);
  }
  if (lives) lives->on_allocated(block);
  return block;
}

KvManager::KvManager(std::vector<KvGroupSpec> groups, int32_t num_blocks, const PrefixCacheConfig& config)
    : impl_(std::make_unique<Impl>(std::move(groups), num_blocks, config)) {}
KvManager::~KvManager() = default;

bool KvManager::reserve(SeqKv* seq, int32_t num_computed, int32_t num_tokens) {
  impl_->open(seq);
  int32_t needed = 0;
  for (std::size_t g = 0; g < impl_->groups.size(); ++g) {
    GroupTable& table = seq->groups[g];
    impl_->drop_behind(impl_->groups[g], &table, num_computed);
    needed += std::max(ceil_div(num_tokens, impl_->block_size) - size_of(table), 0);
  }
  if (needed > impl_->pool.num_free()) return false;
  for (std::size_t g = 0; g < impl_->groups.size(); ++g) {
    std::vector<BlockId>& blocks = seq->groups[g].blocks;
    auto want = static_cast<std::size_t>(ceil_div(num_tokens, impl_->block_size));
    while (blocks.size() < want) blocks.push_back(impl_->allocate());
  }
  return true;
}

void KvManager::announce(SeqKv* seq, int32_t row, std::vector<NewBlocks>* new_blocks,
                         std::vector<BlockId>* block_ids) {
  for (std::size_t g = 0; g < seq->groups.size(); ++g) {
    GroupTable& table = seq->groups[g];
    int32_t count = size_of(table) - table.num_announced;
    if (count == 0) continue;
    new_blocks->push_back({.row = row,
                           .group = static_cast<int32_t>(g),
                           .first_index = table.num_announced,
                           .begin = static_cast<int32_t>(block_ids->size()),
                           .count = count});
    block_ids->insert(block_ids->end(), table.blocks.begin() + table.num_announced, table.blocks.end());
    table.num_announced = size_of(table);
  }
}

bool KvManager::fork(const SeqKv& from, int32_t num_tokens, SeqKv* to, std::vector<BlockCopy>* copies) {
  PAGODA_CHECK(num_held(*to) == 0, "a fork's target holds blocks already");
  int32_t num_partial = 0;
  if (num_tokens % impl_->block_size != 0) num_partial = static_cast<int32_t>(impl_->groups.size());
  if (num_partial > impl_->pool.num_free()) return false;

  impl_->open(to);
  for (std::size_t g = 0; g < impl_->groups.size(); ++g) {
    const std::vector<BlockId>& source = from.groups[g].blocks;
    GroupTable& target = to->groups[g];
    auto num_full = static_cast<std::size_t>(num_tokens / impl_->block_size);
    PAGODA_CHECK(
        source.size() * static_cast<std::size_t>(impl_->block_size) >= static_cast<std::size_t>(num_tokens),
        "a fork's source does not cover the tokens");
    target.blocks.assign(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(num_full));
    target.num_behind = std::min(from.groups[g].num_behind, static_cast<int32_t>(num_full));
    for (BlockId block : target.blocks) {
      if (block != kNullBlock) impl_->pool.ref(block);
    }
    if (num_tokens % impl_->block_size == 0) continue;
    PAGODA_CHECK(source[num_full] != kNullBlock, "the last block of a sequence has fallen behind its window");
    target.blocks.push_back(impl_->allocate());
    copies->push_back(
        {.group = static_cast<int32_t>(g), .src = source[num_full], .dst = target.blocks.back()});
  }
  const auto num_keys = std::min(from.keys.size(), static_cast<std::size_t>(num_tokens / impl_->block_size));
  to->keys.assign(from.keys.begin(), from.keys.begin() + static_cast<std::ptrdiff_t>(num_keys));
  const auto num_contents = std::min(from.contents.size(), num_keys);
  to->contents.assign(from.contents.begin(),
                      from.contents.begin() + static_cast<std::ptrdiff_t>(num_contents));
  to->num_published = std::min(from.num_published, num_tokens / impl_->block_size);
  return true;
}

void KvManager::release(SeqKv* seq) {
  for (GroupTable& table : seq->groups) {
    for (std::size_t i = table.blocks.size(); i-- > static_cast<std::size_t>(table.num_behind);)
      impl_->unref(table.blocks[i]);
    table.blocks.clear();  // they keep their memory: who is preempted comes back
    table.num_behind = table.num_announced = 0;
  }
  seq->num_published = 0;
}

int64_t KvManager::blocks_needed(int32_t num_tokens, int32_t max_step) const {
  return blocks_per_sequence(impl_->groups, num_tokens, max_step);
}

int32_t KvManager::num_held(const SeqKv& seq) const {
  int32_t num = 0;
  for (const GroupTable& table : seq.groups) num += size_of(table) - table.num_behind;
  return num;
}

int32_t KvManager::num_exclusive(const SeqKv& seq) const {
  int32_t num = 0;
  for (const GroupTable& table : seq.groups) {
    for (std::size_t i = static_cast<std::size_t>(table.num_behind); i < table.blocks.size(); ++i)
      num += impl_->pool.ref_count(table.blocks[i]) == 1;
  }
  return num;
}

int32_t KvManager::block_size() const {
  return impl_->block_size;
}
std::size_t KvManager::num_groups() const {
  return impl_->groups.size();
}
int32_t KvManager::num_cached() const {
  return impl_->index.size();
}
int32_t KvManager::num_free() const {
  return impl_->pool.num_free();
}
int32_t KvManager::num_blocks() const {
  return impl_->pool.num_blocks();
}

double KvManager::usage() const {
  int32_t total = num_blocks() - 1;
  return total == 0 ? 0 : 1.0 - static_cast<double>(num_free()) / total;
}

void KvManager::take_events(std::vector<KvEvent>* out) {
  std::move(impl_->events.begin(), impl_->events.end(), std::back_inserter(*out));
  impl_->events.clear();
}

void KvManager::begin_step(Time now) {
  if (impl_->lives) impl_->lives->set_now(now);
}

void KvManager::take_lives(std::vector<BlockLife>* out) {
  if (impl_->lives) impl_->lives->take(out);
}

void KvManager::check() const {
  impl_->pool.check();
  impl_->index.check();
  if (impl_->offload) impl_->offload->check();
}

void KvManager::check(std::span<const SeqKv* const> all) const {
  check();
  std::vector<int32_t> references(static_cast<std::size_t>(num_blocks()));
  for (const SeqKv* seq : all) {
    for (const GroupTable& table : seq->groups) {
      for (std::size_t i = 0; i < table.blocks.size(); ++i) {
        PAGODA_CHECK((table.blocks[i] == kNullBlock) == (i < static_cast<std::size_t>(table.num_behind)),
                     "null blocks are those behind the window");
        ++references[static_cast<std::size_t>(table.blocks[i])];
      }
    }
  }
  for (BlockId block = 1; block < num_blocks(); ++block) {
    PAGODA_CHECK(impl_->pool.ref_count(block) == references[static_cast<std::size_t>(block)],
                 "a block's references are not those of the tables");
  }
}

}  // namespace pagoda
