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
      num_used(groups.size()),
      index(num_blocks),
      hasher(cache.hash_algo, cache.hash_seed) {
  PAGODA_CHECK(!groups.empty() && block_size > 0, "a cache has a group and a block size");
  for (const KvGroupSpec& group : groups)
    PAGODA_CHECK(
        group.block_size == block_size && (group.kind == KvKind::kSlidingWindow) == (group.window > 0),
        "all groups have one block size, windows have a length");
  PAGODA_CHECK(
      config.replay_tokens == 0 ||
          std::ranges::all_of(groups,
                              [](const KvGroupSpec& group) { return group.kind != KvKind::kRecurrentState; }),
      "a state cannot be replayed from a window");
  PAGODA_CHECK(config.replay_tokens == 0 || sees_all(groups[0]), "a replay needs a cached group, the first");
  if (config.enabled && !verifies() && config.offload_slots > 0)
    offload.emplace(config.offload_slots, config.offload_disk_slots, groups.size());
  if (config.residency_sample > 0) residency.emplace(config.residency_sample);
  if (!config.enabled || !verifies()) return;
  contents.resize(static_cast<std::size_t>(num_blocks));
  content_tokens.resize(static_cast<std::size_t>(num_blocks) * static_cast<std::size_t>(block_size));
}

void KvManager::Impl::free_out_of_window(std::size_t group, GroupTable* table, int32_t num_computed) {
  const int32_t end = std::min(first_visible(groups[group], num_computed), size_of(*table));
  for (; table->num_out_of_window < end; ++table->num_out_of_window) {
    BlockId& block = table->blocks[static_cast<std::size_t>(table->num_out_of_window)];
    if (block != kNullBlock) unref(std::exchange(block, kNullBlock), group);
  }
}

// The state behind num_tokens gets a block, if that is not where a block has it already. One that was meant
// for a shorter step, of which the runner has not been told, moves.
void KvManager::Impl::append_state(std::size_t group, GroupTable* table, int32_t num_computed,
                                   int32_t num_tokens) {
  const int32_t wanted = ceil_div(num_tokens, block_size), size = size_of(*table);
  if (size >= wanted) return;
  BlockId block = kNullBlock;
  if (size > ceil_div(num_computed, block_size)) std::swap(block, table->blocks.back());
  table->blocks.resize(static_cast<std::size_t>(wanted), kNullBlock);
  table->blocks.back() = block != kNullBlock ? block : allocate(group);
}

BlockId KvManager::Impl::allocate(std::size_t group) {
  BlockId block = pool.allocate();
  if (index.holds(block)) {
    if (offload) offload->store(block, index.key(block), index.group(block));
    if (residency) residency->on_evicted(block);
    forget(block);
  }
  if (residency) residency->on_allocated(block);
  ++num_used[group];
  return block;
}

KvManager::KvManager(std::vector<KvGroupSpec> groups, int32_t num_blocks, const PrefixCacheConfig& config)
    : impl_(std::make_unique<Impl>(std::move(groups), num_blocks, config)) {}
KvManager::~KvManager() = default;

bool KvManager::reserve(SeqKv* seq, int32_t num_computed, int32_t num_tokens) {
  Impl& impl = *impl_;
  impl.open(seq);
  const int32_t wanted = ceil_div(num_tokens, impl.block_size);
  int32_t needed = 0;
  for (std::size_t g = 0; g < impl.groups.size(); ++g) {
    GroupTable& table = seq->groups[g];
    impl.free_out_of_window(g, &table, num_computed);
    const int32_t missing = std::max(wanted - size_of(table), 0);
    needed += impl.is_state(g) ? std::min(missing, 1) : missing;
  }
  if (needed > impl.pool.num_free()) return false;
  for (std::size_t g = 0; g < impl.groups.size(); ++g) {
    std::vector<BlockId>& blocks = seq->groups[g].blocks;
    if (impl.is_state(g))
      impl.append_state(g, &seq->groups[g], num_computed, num_tokens);
    else
      while (blocks.size() < static_cast<std::size_t>(wanted)) blocks.push_back(impl.allocate(g));
  }
  return true;
}

void KvManager::append_new_blocks(SeqKv* seq, int32_t row, std::vector<NewBlocks>* new_blocks,
                                  std::vector<BlockId>* block_ids) {
  for (std::size_t g = 0; g < seq->groups.size(); ++g) {
    GroupTable& table = seq->groups[g];
    int32_t count = size_of(table) - table.num_sent;
    if (count == 0) continue;
    new_blocks->push_back({.row = row,
                           .group = static_cast<int32_t>(g),
                           .first_index = table.num_sent,
                           .begin = static_cast<int32_t>(block_ids->size()),
                           .count = count});
    block_ids->insert(block_ids->end(), table.blocks.begin() + table.num_sent, table.blocks.end());
    table.num_sent = size_of(table);
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
    target.num_out_of_window = std::min(from.groups[g].num_out_of_window, static_cast<int32_t>(num_full));
    for (BlockId block : target.blocks) {
      if (block != kNullBlock) impl_->ref(block, g);
    }
    if (num_tokens % impl_->block_size == 0) continue;
    PAGODA_CHECK(source[num_full] != kNullBlock, "the last block of a sequence is out of its window");
    target.blocks.push_back(impl_->allocate(g));
    copies->push_back(
        {.group = static_cast<int32_t>(g), .src = source[num_full], .dst = target.blocks.back()});
  }
  const auto num_keys = std::min(from.keys.size(), static_cast<std::size_t>(num_tokens / impl_->block_size));
  to->keys.assign(from.keys.begin(), from.keys.begin() + static_cast<std::ptrdiff_t>(num_keys));
  const auto num_contents = std::min(from.contents.size(), num_keys);
  to->contents.assign(from.contents.begin(),
                      from.contents.begin() + static_cast<std::ptrdiff_t>(num_contents));
  to->num_cached = std::min(from.num_cached, num_tokens / impl_->block_size);
  return true;
}

void KvManager::release(SeqKv* seq) {
  for (std::size_t g = 0; g < seq->groups.size(); ++g) {
    GroupTable& table = seq->groups[g];
    for (std::size_t i = table.blocks.size(); i-- > static_cast<std::size_t>(table.num_out_of_window);)
      if (table.blocks[i] != kNullBlock) impl_->unref(table.blocks[i], g);
    table.blocks.clear();  // they keep their memory: a preempted sequence comes back
    table.num_out_of_window = table.num_sent = 0;
  }
  seq->num_cached = seq->replay_end = 0;
}

int64_t KvManager::blocks_needed(int32_t num_tokens, int32_t max_step) const {
  return blocks_per_sequence(impl_->groups, num_tokens, max_step);
}

int32_t KvManager::num_held(const SeqKv& seq) const {
  int32_t num = 0;
  for (std::size_t g = 0; g < seq.groups.size(); ++g) {
    const GroupTable& table = seq.groups[g];
    if (impl_->is_state(g))
      num += table.blocks.empty() ? 0 : 1;
    else
      num += size_of(table) - table.num_out_of_window;
  }
  return num;
}

int32_t KvManager::num_exclusive(const SeqKv& seq) const {
  int32_t num = 0;
  for (const GroupTable& table : seq.groups) {
    for (std::size_t i = static_cast<std::size_t>(table.num_out_of_window); i < table.blocks.size(); ++i)
      num += table.blocks[i] != kNullBlock && impl_->pool.ref_count(table.blocks[i]) == 1;
  }
  return num;
}

int32_t KvManager::block_size() const {
  return impl_->block_size;
}
std::size_t KvManager::num_groups() const {
  return impl_->groups.size();
}
bool KvManager::has_states() const {
  return std::ranges::any_of(impl_->groups,
                             [](const KvGroupSpec& group) { return group.kind == KvKind::kRecurrentState; });
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

double KvManager::usage(std::size_t group) const {
  int32_t total = num_blocks() - 1;
  return total == 0 ? 0 : static_cast<double>(impl_->num_used[group]) / total;
}

void KvManager::take_events(std::vector<KvEvent>* out) {
  std::move(impl_->events.begin(), impl_->events.end(), std::back_inserter(*out));
  impl_->events.clear();
}

void KvManager::begin_step(Time now) {
  if (impl_->residency) impl_->residency->set_now(now);
}

void KvManager::take_residencies(std::vector<BlockResidency>* out) {
  if (impl_->residency) impl_->residency->take(out);
}

void KvManager::check() const {
  impl_->pool.check();
  impl_->index.check();
  if (impl_->offload) impl_->offload->check();
}

void KvManager::check(std::span<const SeqKv* const> all) const {
  check();
  std::vector<int32_t> references(static_cast<std::size_t>(num_blocks()));
  std::vector<int32_t> owner(static_cast<std::size_t>(num_blocks()), -1), used(impl_->groups.size());
  for (const SeqKv* seq : all) {
    for (std::size_t g = 0; g < seq->groups.size(); ++g) {
      const GroupTable& table = seq->groups[g];
      for (std::size_t i = 0; i < table.blocks.size(); ++i) {
        const auto block = static_cast<std::size_t>(table.blocks[i]);
        const bool is_out = i < static_cast<std::size_t>(table.num_out_of_window);
        PAGODA_CHECK(is_out ? block == kNullBlock : block != kNullBlock || impl_->is_state(g),
                     "null blocks are those out of the window, and those between states");
        ++references[block];
        if (block == kNullBlock) continue;
        PAGODA_CHECK(owner[block] < 0 || owner[block] == static_cast<int32_t>(g), "a block has two groups");
        PAGODA_CHECK(!impl_->index.holds(table.blocks[i]) ||
                         impl_->index.group(table.blocks[i]) == static_cast<int32_t>(g),
                     "a block holds another group's content");
        used[g] += owner[block] < 0;
        owner[block] = static_cast<int32_t>(g);
      }
    }
  }
  PAGODA_CHECK(used == impl_->num_used, "the groups' blocks are miscounted");
  for (BlockId block = 1; block < num_blocks(); ++block) {
    PAGODA_CHECK(impl_->pool.ref_count(block) == references[static_cast<std::size_t>(block)],
                 "a block's references are not those of the tables");
  }
}

}  // namespace pagoda
