#pragma once
#include <cstdint>
#include <vector>

#include "contract/step_plan.h"
#include "sample/penalties.h"

namespace pagoda {

// What the runner remembers of a sequence between steps.
struct Row {
  bool alive = false;
  RequestId id = 0;
  SamplingParams params;
  TokenHistory history;                            // all tokens: announced, then sampled
  std::vector<std::vector<BlockId>> block_tables;  // [group][index]
};

// The rows by index. A plan that does not fit what is known here is an error of ours: a failed check.
class RowTable {
 public:
  RowTable(int32_t max_num_seqs, std::size_t num_groups, int32_t num_blocks)
      : rows_(static_cast<std::size_t>(max_num_seqs)), num_groups_(num_groups), num_blocks_(num_blocks) {}

  // Freed rows, new rows, new blocks, in this order.
  void apply(const StepPlan& plan);
  Row& alive(int32_t index);

 private:
  void start(const StepPlan& plan, const NewRow& fresh);
  void append(const StepPlan& plan, const NewBlocks& blocks);
  Row& at(int32_t index);

  std::vector<Row> rows_;
  std::size_t num_groups_;
  int32_t num_blocks_;
};

}  // namespace pagoda
