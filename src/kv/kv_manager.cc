#include "kv/kv_manager.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "kv/block_pool.h"

namespace pagoda {
namespace {

int32_t ceil_div(int32_t a, int32_t b) {
  return (a + b - 1) / b;
}
int32_t size_of(const GroupTable& table) {
  return static_cast<int32_t>(table.blocks.size());
}

}  // namespace

struct KvManager::Impl {
  std::vector<KvGroupConfig> groups;
  BlockPool pool;

  Impl(std::vector<KvGroupConfig> configs, int32_t num_blocks)
      : groups(std::move(configs)), pool(num_blocks) {}

  void open(SeqKv* seq) const {
    if (seq->groups.empty()) seq->groups.resize(groups.size());
  }
  // Position num_computed sees back to num_computed - window + 1; blocks that end before it are never read
  // again.
  void drop_behind(const KvGroupConfig& group, GroupTable* table, int32_t num_computed) {
    if (group.window == 0) return;
    int32_t first_visible = std::max(num_computed - group.window + 1, 0) / group.block_size;
    for (; table->num_behind < std::min(first_visible, size_of(*table)); ++table->num_behind) {
      BlockId& block = table->blocks[static_cast<std::size_t>(table->num_behind)];
      if (block != kNullBlock) pool.unref(std::exchange(block, kNullBlock));
    }
  }
};

KvManager::KvManager(std::vector<KvGroupConfig> groups, int32_t num_blocks)
    : impl_(std::make_unique<Impl>(std::move(groups), num_blocks)) {
  PAGODA_CHECK(!impl_->groups.empty(), "a cache has at least one group");
  for (const KvGroupConfig& group : impl_->groups) {
    PAGODA_CHECK(group.block_size > 0 && group.window >= 0, "a group's block size is positive");
  }
}
KvManager::~KvManager() = default;

int32_t KvManager::match(SeqKv* seq, std::span<const TokenId>, std::span<const uint8_t>) {
  seq->num_cached = 0;
  return 0;
}

bool KvManager::reserve(SeqKv* seq, int32_t num_computed, int32_t num_tokens) {
  impl_->open(seq);
  int32_t needed = 0;
  for (std::size_t g = 0; g < impl_->groups.size(); ++g) {
    GroupTable& table = seq->groups[g];
    impl_->drop_behind(impl_->groups[g], &table, num_computed);
    needed += std::max(ceil_div(num_tokens, impl_->groups[g].block_size) - size_of(table), 0);
  }
  if (needed > impl_->pool.num_free()) return false;
  for (std::size_t g = 0; g < impl_->groups.size(); ++g) {
    std::vector<BlockId>& blocks = seq->groups[g].blocks;
    auto want = static_cast<std::size_t>(ceil_div(num_tokens, impl_->groups[g].block_size));
    while (blocks.size() < want) blocks.push_back(impl_->pool.allocate());
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
  PAGODA_CHECK(to->groups.empty(), "a fork's target holds blocks already");
  int32_t num_partial = 0;
  for (const KvGroupConfig& group : impl_->groups) num_partial += num_tokens % group.block_size != 0;
  if (num_partial > impl_->pool.num_free()) return false;

  impl_->open(to);
  for (std::size_t g = 0; g < impl_->groups.size(); ++g) {
    const std::vector<BlockId>& source = from.groups[g].blocks;
    GroupTable& target = to->groups[g];
    auto num_full = static_cast<std::size_t>(num_tokens / impl_->groups[g].block_size);
    PAGODA_CHECK(source.size() * static_cast<std::size_t>(impl_->groups[g].block_size) >=
                     static_cast<std::size_t>(num_tokens),
                 "a fork's source does not cover the tokens");
    target.blocks.assign(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(num_full));
    target.num_behind = std::min(from.groups[g].num_behind, static_cast<int32_t>(num_full));
    for (BlockId block : target.blocks) {
      if (block != kNullBlock) impl_->pool.ref(block);
    }
    if (num_tokens % impl_->groups[g].block_size == 0) continue;
    PAGODA_CHECK(source[num_full] != kNullBlock, "the last block of a sequence has fallen behind its window");
    target.blocks.push_back(impl_->pool.allocate());
    copies->push_back(
        {.group = static_cast<int32_t>(g), .src = source[num_full], .dst = target.blocks.back()});
  }
  to->num_cached = from.num_cached;
  return true;
}

void KvManager::release(SeqKv* seq) {
  for (GroupTable& table : seq->groups) {
    for (std::size_t i = table.blocks.size(); i-- > static_cast<std::size_t>(table.num_behind);) {
      impl_->pool.unref(table.blocks[i]);
    }
  }
  seq->groups.clear();
}

int64_t KvManager::blocks_needed(int32_t num_tokens, int32_t max_step) const {
  int64_t needed = 0;
  for (const KvGroupConfig& group : impl_->groups) {
    int64_t all = (int64_t{num_tokens} + group.block_size - 1) / group.block_size;
    // Visible positions before a step and those of the step may begin anywhere within a block: hence one
    // more.
    int64_t span = int64_t{group.window} - 1 + max_step;
    int64_t windowed = (span + group.block_size - 1) / group.block_size + 1;
    needed += group.window == 0 ? all : std::min(all, windowed);
  }
  return needed;
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

void KvManager::check() const {
  impl_->pool.check();
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
