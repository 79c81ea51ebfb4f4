#pragma once
#include <cstdint>
#include <vector>

#include "contract/step_plan.h"
#include "sample/penalties.h"
#include "tensor/device_memory.h"
#include "tensor/tensor.h"

namespace pagoda {

// What the runner remembers of a sequence between steps, beside its block tables.
struct Row {
  bool alive = false;
  RequestId id = 0;
  SamplingParams params;
  TokenHistory history;  // all tokens: announced, then sampled
  // There was no memory for the two above, or for a sample: it can compute what plans say, but not sample.
  bool lost = false;
};

// The block tables of one group, [max_num_seqs, max_blocks], by row, on the host and on the device: a step
// changes the few entries that are new, and attention finds a sequence's table through its row. Pages of long
// tables that no row needs are never touched and cost nothing.
class BlockTables {
 public:
  BlockTables(int32_t max_num_seqs, int32_t max_blocks, DeviceMemory& memory)
      : max_blocks_(max_blocks),
        ids_(static_cast<std::size_t>(max_num_seqs) * static_cast<std::size_t>(max_blocks) * sizeof(BlockId)),
        device_ids_(memory, ids_.bytes()),
        sizes_(static_cast<std::size_t>(max_num_seqs)) {}

  DeviceSpan<const BlockId> on_device() const { return device_ids_.span<const BlockId>(); }
  const BlockId* of(int32_t row) const {
    return static_cast<const BlockId*>(ids_.data()) + int64_t{row} * max_blocks_;
  }
  // Entries that are told, or null because a window has passed them; entries behind them are undefined.
  int32_t size(int32_t row) const { return sizes_[static_cast<std::size_t>(row)]; }
  int32_t max_blocks() const { return max_blocks_; }

  void clear(int32_t row) { sizes_[static_cast<std::size_t>(row)] = 0; }
  // Entries first .. first + blocks.size(). What is left out before them is null.
  void set(int32_t row, int32_t first, std::span<const BlockId> blocks);

 private:
  int32_t max_blocks_;
  Buffer ids_;
  DeviceBuffer device_ids_;  // the same
  std::vector<int32_t> sizes_;
};

struct RowLimits {
  int32_t max_num_seqs = 0;
  int64_t max_model_len = 0;
  int32_t block_size = 16, num_blocks = 0;
  std::size_t num_groups = 1;
  int32_t max_blocks() const { return static_cast<int32_t>((max_model_len + block_size - 1) / block_size); }
};

// The rows by index, kept from step to step and changed by what a plan says is new. A plan that does not fit
// what is known here is an error of ours: a failed check.
class RowTable {
 public:
  RowTable(const RowLimits& limits, DeviceMemory& memory);

  // Freed rows, new rows, new blocks, in this order.
  void apply(const StepPlan& plan);
  Row& alive(int32_t index);
  const BlockTables& tables(std::size_t group) const { return tables_[group]; }

 private:
  void free(int32_t index);
  void start(const StepPlan& plan, const NewRow& fresh);
  void append(const StepPlan& plan, const NewBlocks& blocks);
  Row& at(int32_t index);

  RowLimits limits_;
  std::vector<Row> rows_;
  std::vector<BlockTables> tables_;  // by group
};

}  // namespace pagoda
