#include "runner/row_table.h"

#include <algorithm>
#include <new>

#include "base/check.h"
#include "base/memory_reserve.h"

namespace pagoda {

void BlockTables::set(int32_t row, int32_t first, std::span<const BlockId> blocks) {
  const auto end = int64_t{first} + static_cast<int64_t>(blocks.size());
  PAGODA_CHECK(first >= 0 && end <= max_blocks_, "a block table within max_model_len");
  int32_t& size = sizes_[static_cast<std::size_t>(row)];
  BlockId* ids = static_cast<BlockId*>(ids_.data()) + int64_t{row} * max_blocks_;
  if (size < first) std::fill(ids + size, ids + first, kNullBlock);
  std::copy(blocks.begin(), blocks.end(), ids + first);
  const int64_t changed = std::min(size, first);
  device_ids_.copy_from_host(static_cast<std::size_t>(int64_t{row} * max_blocks_ + changed) * sizeof(BlockId),
                             std::as_bytes(std::span(ids + changed, ids + end)));
  size = std::max(size, static_cast<int32_t>(end));
}

RowTable::RowTable(const RowLimits& limits, DeviceMemory& memory)
    : limits_(limits), rows_(static_cast<std::size_t>(limits.max_num_seqs)) {
  for (std::size_t i = 0; i < limits.num_groups; ++i)
    tables_.emplace_back(limits.max_num_seqs, limits.max_blocks(), memory);
}

Row& RowTable::at(int32_t index) {
  PAGODA_CHECK(index >= 0 && static_cast<std::size_t>(index) < rows_.size(), "row within max_num_seqs");
  return rows_[static_cast<std::size_t>(index)];
}

Row& RowTable::alive(int32_t index) {
  Row& row = at(index);
  PAGODA_CHECK(row.alive, "the plan uses a row that is not alive");
  return row;
}

void RowTable::apply(const StepPlan& plan) {
  for (int32_t index : plan.freed_rows) free(index);
  for (const NewRow& fresh : plan.new_rows) start(plan, fresh);
  for (const NewBlocks& blocks : plan.new_blocks) append(plan, blocks);
}

void RowTable::free(int32_t index) {
  alive(index) = {};
  for (BlockTables& tables : tables_) tables.clear(index);
}

void RowTable::start(const StepPlan& plan, const NewRow& fresh) {
  Row& row = at(fresh.row);
  PAGODA_CHECK(!row.alive, "a row comes to life twice");
  PAGODA_CHECK(fresh.token_begin >= 0 && fresh.num_tokens > 0 &&
                   static_cast<std::size_t>(fresh.token_begin) + static_cast<std::size_t>(fresh.num_tokens) <=
                       plan.tokens.size(),
               "a new row's tokens are in the plan");
  PAGODA_CHECK(fresh.params_index >= 0 && static_cast<std::size_t>(fresh.params_index) < plan.params.size(),
               "a new row's parameters are in the plan");
  row.alive = true;
  row.id = fresh.id;
  const KeepOffReserve large;
  try {
    row.params = plan.params[static_cast<std::size_t>(fresh.params_index)];
    const int64_t most =
        std::min(int64_t{fresh.num_prompt_tokens} + row.params.max_tokens, limits_.max_model_len);
    const std::span tokens(plan.tokens.data() + fresh.token_begin,
                           static_cast<std::size_t>(fresh.num_tokens));
    row.history = TokenHistory(tokens, fresh.num_prompt_tokens, row.params, static_cast<int32_t>(most));
  } catch (const std::bad_alloc&) {
    row.params = {};
    row.history = {};
    row.lost = true;
  }
}

void RowTable::append(const StepPlan& plan, const NewBlocks& blocks) {
  (void)alive(blocks.row);
  PAGODA_CHECK(blocks.group >= 0 && static_cast<std::size_t>(blocks.group) < tables_.size(),
               "group of the model");
  PAGODA_CHECK(blocks.begin >= 0 && blocks.count >= 0 &&
                   static_cast<std::size_t>(blocks.begin) + static_cast<std::size_t>(blocks.count) <=
                       plan.block_ids.size(),
               "new blocks are in the plan");
  const std::span ids(plan.block_ids.data() + blocks.begin, static_cast<std::size_t>(blocks.count));
  for (BlockId block : ids) PAGODA_CHECK(block >= 0 && block < limits_.num_blocks, "block of the cache");
  tables_[static_cast<std::size_t>(blocks.group)].set(blocks.row, blocks.first_index, ids);
}

}  // namespace pagoda
