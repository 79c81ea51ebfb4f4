#include "runner/input_batch.h"

#include <algorithm>

namespace pagoda {

InputBatch::InputBatch(const ModelConfig& config, int32_t block_size)
    : config_(config), block_size_(block_size) {
  for (int32_t window : attention_windows(config)) groups_.push_back({window, {}, {}});
  batches_.resize(groups_.size());
}

void InputBatch::build(const StepPlan& plan, RowTable* rows, int64_t max_positions) {
  input_ids_.clear();
  positions_.clear();
  seq_lens_.clear();
  query_start_loc_.assign(1, 0);
  for (const RowWork& work : plan.work) {
    const int32_t seq_len = work.num_computed_tokens + work.num_scheduled_tokens;
    PAGODA_CHECK(work.num_computed_tokens >= 0 && work.num_scheduled_tokens > 0, "work computes something");
    PAGODA_CHECK(seq_len <= max_positions, "positions within max_model_len");
    PAGODA_CHECK(work.num_draft_tokens == 0, "no drafts without speculation");
    add_tokens(plan, work, &rows->alive(work.row));
    seq_lens_.push_back(seq_len);
    query_start_loc_.push_back(static_cast<int32_t>(input_ids_.size()));
  }
  PAGODA_CHECK(static_cast<std::size_t>(plan.num_tokens) == input_ids_.size(),
               "num_tokens is the sum of the work");
  for (std::size_t i = 0; i < groups_.size(); ++i) build_group(plan, rows, i);
  inputs_ = {input_ids_.data(), positions_.data(), plan.num_tokens, batches_};
}

// A row's own memory and the plan must agree on every token; what the plan leaves open comes from the memory.
void InputBatch::add_tokens(const StepPlan& plan, const RowWork& work, Row* row) {
  PAGODA_CHECK(
      work.token_begin >= 0 &&
          static_cast<std::size_t>(work.token_begin + work.num_scheduled_tokens) <= plan.tokens.size(),
      "the work's tokens are in the plan");
  PAGODA_CHECK(work.num_computed_tokens + work.num_scheduled_tokens <= row->history.size(),
               "only known tokens are computed");
  for (int32_t i = 0; i < work.num_scheduled_tokens; ++i) {
    const int32_t position = work.num_computed_tokens + i;
    const TokenId planned = plan.tokens[static_cast<std::size_t>(work.token_begin + i)];
    const TokenId known = row->history[position];
    PAGODA_CHECK(planned == known || planned == kFromLastStep, "the plan and the row agree on a token");
    PAGODA_CHECK(known >= 0 && known < config_.vocab_size, "token of the vocabulary");
    input_ids_.push_back(known);
    positions_.push_back(position);
  }
}

void InputBatch::build_group(const StepPlan& plan, RowTable* rows, std::size_t index) {
  Group& group = groups_[index];
  std::size_t max_blocks = 1;
  for (const RowWork& work : plan.work) {
    const std::size_t size = rows->alive(work.row).block_tables[index].size();
    PAGODA_CHECK(
        static_cast<int64_t>(size) * block_size_ >= work.num_computed_tokens + work.num_scheduled_tokens,
        "blocks for all tokens of the step");
    max_blocks = std::max(max_blocks, size);
  }
  group.block_table.assign(plan.work.size() * max_blocks, kNullBlock);
  group.slot_mapping.clear();
  for (std::size_t i = 0; i < plan.work.size(); ++i) {
    const RowWork& work = plan.work[i];
    const std::vector<BlockId>& table = rows->alive(work.row).block_tables[index];
    std::copy(table.begin(), table.end(), group.block_table.begin() + static_cast<long>(i * max_blocks));
    for (int32_t p = work.num_computed_tokens; p < work.num_computed_tokens + work.num_scheduled_tokens;
         ++p) {
      const BlockId block = table[static_cast<std::size_t>(p / block_size_)];
      PAGODA_CHECK(block != kNullBlock, "nothing is written to the null block");
      group.slot_mapping.push_back(static_cast<int64_t>(block) * block_size_ + p % block_size_);
    }
  }
  batches_[index] = {.query_start_loc = query_start_loc_.data(),
                     .seq_lens = seq_lens_.data(),
                     .block_table = group.block_table.data(),
                     .slot_mapping = group.slot_mapping.data(),
                     .num_seqs = static_cast<int32_t>(plan.work.size()),
                     .num_tokens = plan.num_tokens,
                     .max_blocks = static_cast<int32_t>(max_blocks),
                     .block_size = block_size_,
                     .window = group.window,
                     .scale = config_.attention_scale,
                     .softcap = config_.attention_softcap};
}

}  // namespace pagoda
