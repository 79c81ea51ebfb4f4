#include "runner/input_batch.h"

#include <algorithm>

namespace pagoda {
namespace {

constexpr int64_t kNoSlot = -1;  // K and V are not stored

}  // namespace

InputBatch::InputBatch(const ModelConfig& config, std::span<const KvGroupSpec> groups, int64_t max_positions,
                       DeviceMemory& memory)
    : vocab_size_(config.vocab_size),
      max_positions_(max_positions),
      block_size_(groups[0].block_size),
      memory_(memory),
      slot_mappings_(groups.size()),
      batches_(slot_mappings_.size()) {
  for (const KvGroupSpec& group : groups) sees_all_.push_back(group.kind != KvKind::kSlidingWindow);
}

void InputBatch::build(const StepPlan& plan, RowTable* rows) {
  PAGODA_CHECK(plan.num_tokens >= 0, "a step has tokens");
  const auto num_tokens = static_cast<std::size_t>(plan.num_tokens), num_seqs = plan.work.size();
  input_ids_.host().resize(num_tokens);
  positions_.host().resize(num_tokens);
  table_rows_.host().resize(num_seqs);
  seq_lens_.host().resize(num_seqs);
  query_start_loc_.host().resize(num_seqs + 1);
  int32_t flat = 0;
  for (std::size_t i = 0; i < num_seqs; ++i) {
    const RowWork& work = plan.work[i];
    const int32_t seq_len = work.num_computed_tokens + work.num_scheduled_tokens;
    PAGODA_CHECK(work.num_computed_tokens >= 0 && work.num_scheduled_tokens > 0, "work computes something");
    PAGODA_CHECK(seq_len <= max_positions_, "positions within max_model_len");
    PAGODA_CHECK(work.num_draft_tokens == 0, "no drafts without speculation");
    PAGODA_CHECK(work.num_replayed_tokens >= 0 && work.num_replayed_tokens <= work.num_scheduled_tokens,
                 "what is replayed is scheduled");
    PAGODA_CHECK(work.num_scheduled_tokens <= plan.num_tokens - flat, "num_tokens is the sum of the work");
    add_tokens(plan, work, rows->alive(work.row), flat);
    table_rows_.host()[i] = work.row;
    seq_lens_.host()[i] = seq_len;
    query_start_loc_.host()[i] = flat;
    flat += work.num_scheduled_tokens;
  }
  query_start_loc_.host()[num_seqs] = flat;
  PAGODA_CHECK(flat == plan.num_tokens, "num_tokens is the sum of the work");
  const AttnBatch all{.query_start_loc = query_start_loc_.upload(memory_),
                      .seq_lens = seq_lens_.upload(memory_),
                      .table_rows = table_rows_.upload(memory_),
                      .num_seqs = static_cast<int32_t>(num_seqs),
                      .num_tokens = plan.num_tokens,
                      .block_size = block_size_};
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    batches_[i] = all;
    build_group(plan, *rows, i);
  }
  inputs_ = {input_ids_.upload(memory_), positions_.upload(memory_), plan.num_tokens, batches_};
}

// A row's history and the plan must agree on every token; kFromLastStep comes from the history, which ends
// with what the step before has sampled.
void InputBatch::add_tokens(const StepPlan& plan, const RowWork& work, const Row& row, int32_t flat) {
  PAGODA_CHECK(
      work.token_begin >= 0 &&
          static_cast<std::size_t>(work.token_begin + work.num_scheduled_tokens) <= plan.tokens.size(),
      "the work's tokens are in the plan");
  PAGODA_CHECK(row.lost || work.num_computed_tokens + work.num_scheduled_tokens <= row.history.size(),
               "only known tokens are computed");
  const TokenId* planned = plan.tokens.data() + work.token_begin;
  for (int32_t i = 0; i < work.num_scheduled_tokens; ++i) {
    const int32_t position = work.num_computed_tokens + i;
    const TokenId known = row.lost ? std::max(planned[i], 0) : row.history[position];  // any will do
    PAGODA_CHECK(planned[i] == known || planned[i] == kFromLastStep, "the plan and the row agree on a token");
    PAGODA_CHECK(known >= 0 && known < vocab_size_, "token of the vocabulary");
    input_ids_.host()[static_cast<std::size_t>(flat + i)] = known;
    positions_.host()[static_cast<std::size_t>(flat + i)] = position;
  }
}

void InputBatch::build_group(const StepPlan& plan, const RowTable& rows, std::size_t index) {
  std::vector<int64_t>& slot_mapping = slot_mappings_[index].host();
  const BlockTables& tables = rows.tables(index);
  slot_mapping.resize(static_cast<std::size_t>(plan.num_tokens));
  int64_t* slot = slot_mapping.data();
  for (const RowWork& work : plan.work) {
    const int32_t end = work.num_computed_tokens + work.num_scheduled_tokens;
    PAGODA_CHECK(int64_t{tables.size(work.row)} * block_size_ >= end, "blocks for all tokens of the step");
    const BlockId* table = tables.of(work.row);
    int32_t p = work.num_computed_tokens;
    if (sees_all_[index])
      for (int32_t i = 0; i < work.num_replayed_tokens; ++i, ++p) *slot++ = kNoSlot;
    while (p < end) {
      const int32_t place = p / block_size_;
      PAGODA_CHECK(table[place] != kNullBlock, "nothing is written to the null block");
      const int64_t first = (int64_t{table[place]} - place) * block_size_;  // of the block, less its position
      for (const int32_t stop = std::min(end, (place + 1) * block_size_); p < stop; ++p) *slot++ = first + p;
    }
  }
  batches_[index].block_table = tables.on_device();
  batches_[index].slot_mapping = slot_mappings_[index].upload(memory_);
  batches_[index].max_blocks = tables.max_blocks();
}

}  // namespace pagoda
