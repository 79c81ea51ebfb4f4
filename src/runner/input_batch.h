#pragma once
#include <cstdint>
#include <vector>

#include "contract/kv_group.h"
#include "contract/step_plan.h"
#include "decoder/decoder.h"
#include "runner/row_table.h"
#include "tensor/staged_array.h"

namespace pagoda {

// One step's flat batch, built from a plan and the rows: what belongs to a token or to a sequence of the
// step, made on the host and copied to the device. Its arrays keep their memory from step to step; block
// tables are the rows' own.
class InputBatch {
 public:
  InputBatch(const ModelConfig& config, std::span<const KvGroupSpec> groups, int64_t max_positions,
             DeviceMemory& memory);
  // Requires: the plan has been applied to `rows`. Positions are below max_positions, ids within the
  // vocabulary.
  void build(const StepPlan& plan, RowTable* rows);
  // Valid until the next build().
  const ForwardInputs& inputs() const { return inputs_; }

 private:
  void add_tokens(const StepPlan& plan, const RowWork& work, const Row& row, int32_t flat);
  void build_group(const StepPlan& plan, const RowTable& rows, std::size_t index);

  int64_t vocab_size_, max_positions_;
  int32_t block_size_;
  std::vector<bool> sees_all_;  // by group
  DeviceMemory& memory_;
  StagedArray<int32_t> input_ids_, positions_;                    // [num_tokens]
  StagedArray<int32_t> table_rows_, seq_lens_, query_start_loc_;  // [num_seqs (+ 1)]
  std::vector<StagedArray<int64_t>> slot_mappings_;               // of each group, [num_tokens]
  std::vector<AttnBatch> batches_;                                // one per group
  ForwardInputs inputs_;
};

}  // namespace pagoda
