// What one engine step computes: the value that `schedule` hands to `runner`. Flat vectors of trivially
// copyable records without pointers (but for `params`, which only the sampling rank needs), so that a
// tensor-parallel broadcast, a replay file and the fake runner of the tests are a copy. Rows are dense stable
// indices: a sequence keeps its row until freed.
#pragma once
#include <cstdint>
#include <vector>

#include "contract/kv_offload.h"
#include "contract/sampling_params.h"
#include "contract/types.h"

namespace pagoda {

// A row comes to life (also again, after a preemption). ids: plan.tokens[token_begin .. + num_tokens]:
// everything the sequence has so far, prompt and, after a preemption, output. num_prompt_tokens of them are
// the prompt. A row need not have work in the plan that brings it: with n > 1 it may only sample, and be told
// its blocks (shared with choice 0's, or a copy of them) in the next plan, where its work begins behind the
// prompt.
struct NewRow {
  RequestId id;
  int32_t row, choice, token_begin, num_tokens, num_prompt_tokens, params_index;
  uint32_t lora_id;
};
// block_table[group][row][first_index ..] = plan.block_ids[begin .. begin + count].
struct NewBlocks {
  int32_t row, group, first_index, begin, count;
};
// One per scheduled sequence, in row order of the flat batch.
struct RowWork {
  int32_t row;
  int32_t num_computed_tokens, num_scheduled_tokens;  // positions computed .. computed + scheduled - 1
  int32_t num_draft_tokens;  // the last k scheduled tokens are guesses; 0 without speculation
  // plan.tokens[token_begin ..]; kFromLastStep allowed; may lie within the range of a NewRow of the same
  // plan.
  int32_t token_begin;
  // The first k scheduled tokens are computed for the sake of sliding windows alone: groups that see all have
  // their K and V, which are not written again. Before the first of them a window's table has null blocks,
  // which may be read as anything. None of them is sampled from.
  int32_t num_replayed_tokens = 0;
};
enum class SampleKind : uint8_t { kSample, kVerifyDraft, kPromptLogprobs };
// Which logits row feeds which draw. n > 1 after one prefill: many samples, one logits row.
struct SampleWork {
  int32_t row;
  int32_t flat_index;  // the token's index in the flat batch: its logits predict the token after it
  // Tokens the choice has generated so far: counter of the noise, horizon of the penalties.
  int32_t output_index;
  int32_t mask_row;  // into plan.masks, or -1
  TokenId target;    // kPromptLogprobs: the token whose log-probability is wanted; otherwise unused
  SampleKind kind;
};
// Copy-on-write at a fork: runs before the forward pass. src and dst are block ids. Within a plan no block is
// the target of two copies, and none is both source and target: their order does not matter.
struct BlockCopy {
  int32_t group;
  BlockId src, dst;
};

struct StepPlan {
  uint64_t step_id = 0;
  int32_t num_tokens = 0;           // sum of num_scheduled_tokens
  int32_t mask_words = 0;           // ceil(vocab_size / 32) when masks is used
  std::vector<int32_t> freed_rows;  // applied first
  std::vector<NewRow> new_rows;     // then these
  std::vector<NewBlocks> new_blocks;
  std::vector<OffloadMove> moves;
  std::vector<BlockCopy> copies;
  std::vector<RowWork> work;
  std::vector<SampleWork> samples;
  std::vector<TokenId> tokens;
  std::vector<BlockId> block_ids;
  std::vector<SamplingParams> params;  // of new_rows
  std::vector<uint32_t> masks;         // [num_masks, mask_words]; filled by engine between plan and run
  bool empty() const { return work.empty() && moves.empty(); }
};

}  // namespace pagoda
