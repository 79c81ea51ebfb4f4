#include "runner/row_table.h"

#include <algorithm>

#include "base/check.h"

namespace pagoda {

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
  for (int32_t index : plan.freed_rows) alive(index) = {};
  for (const NewRow& fresh : plan.new_rows) start(plan, fresh);
  for (const NewBlocks& blocks : plan.new_blocks) append(plan, blocks);
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
  auto first = plan.tokens.begin() + fresh.token_begin;
  row.alive = true;
  row.id = fresh.id;
  row.params = plan.params[static_cast<std::size_t>(fresh.params_index)];
  row.history = TokenHistory({first, first + fresh.num_tokens}, fresh.num_prompt_tokens, row.params);
  row.block_tables.assign(num_groups_, {});
}

void RowTable::append(const StepPlan& plan, const NewBlocks& blocks) {
  Row& row = alive(blocks.row);
  PAGODA_CHECK(blocks.group >= 0 && static_cast<std::size_t>(blocks.group) < num_groups_,
               "group of the model");
  PAGODA_CHECK(blocks.begin >= 0 && blocks.count >= 0 && blocks.first_index >= 0 &&
                   static_cast<std::size_t>(blocks.begin) + static_cast<std::size_t>(blocks.count) <=
                       plan.block_ids.size(),
               "new blocks are in the plan");
  std::vector<BlockId>& table = row.block_tables[static_cast<std::size_t>(blocks.group)];
  const auto end = static_cast<std::size_t>(blocks.first_index + blocks.count);
  if (table.size() < end) table.resize(end, kNullBlock);  // entries behind a window are never told
  for (int32_t i = 0; i < blocks.count; ++i) {
    const BlockId block = plan.block_ids[static_cast<std::size_t>(blocks.begin + i)];
    PAGODA_CHECK(block >= 0 && block < num_blocks_, "block of the cache");
    table[static_cast<std::size_t>(blocks.first_index + i)] = block;
  }
}

}  // namespace pagoda
