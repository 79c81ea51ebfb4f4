#pragma once
#include <cstdint>
#include <vector>

#include "contract/step_plan.h"
#include "model/decoder.h"
#include "runner/row_table.h"

namespace pagoda {

// One step's flat batch, built from a plan and the rows. Its vectors keep their memory from step to step.
class InputBatch {
 public:
  InputBatch(const ModelConfig& config, int32_t block_size);
  // Requires: the plan has been applied to `rows`. Positions are below max_positions, ids within the
  // vocabulary.
  void build(const StepPlan& plan, RowTable* rows, int64_t max_positions);
  // Valid until the next build().
  const ForwardInputs& inputs() const { return inputs_; }

 private:
  struct Group {
    int32_t window;
    std::vector<int32_t> block_table;   // [num_seqs, max_blocks]
    std::vector<int64_t> slot_mapping;  // [num_tokens]
  };
  void add_tokens(const StepPlan& plan, const RowWork& work, Row* row);
  void build_group(const StepPlan& plan, RowTable* rows, std::size_t index);

  const ModelConfig& config_;
  int32_t block_size_;
  std::vector<int32_t> input_ids_, positions_, query_start_loc_, seq_lens_;
  std::vector<Group> groups_;
  std::vector<AttnBatch> batches_;  // one per group
  ForwardInputs inputs_;
};

}  // namespace pagoda
