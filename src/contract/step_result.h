#pragma once
#include <cstdint>
#include <vector>

#include "contract/step_plan.h"
#include "contract/types.h"

namespace pagoda {

struct TopLogprob {
  TokenId id;
  float logprob;
};

// Why a sample has no token: its logits are not finite, which is a fault of the model; the request's filters
// leave none; or there was no memory for what its request asked of the step, all of whose samples have none.
enum SampleFault : uint8_t { kNoFault = 0, kLogitsNotFinite = 1, kNothingAllowed = 2, kNoMemory = 3 };

// By sample, in the order of plan.samples.
struct StepResult {
  uint64_t step_id = 0;
  std::vector<TokenId> token;  // [num_samples] sampled id; for kPromptLogprobs the target
  // [num_samples] raw log-probability of `token` (before bias, penalties, temperature).
  std::vector<float> logprob;
  // [num_samples] 1-based rank of `token` among the raw logits; 0 where not asked for.
  std::vector<int32_t> rank;
  std::vector<TopLogprob> top;        // the most probable, descending
  std::vector<int32_t> top_begin;     // [num_samples + 1] into top; a faulty sample's mean nothing
  std::vector<int32_t> num_accepted;  // [num work rows] drafts that hold; 0 where none were given
  std::vector<TokenId> drafts;        // proposals for the next step
  std::vector<int32_t> draft_begin;   // [num work rows + 1], or empty: no drafts
  std::vector<uint8_t> bad;           // [num samples] SampleFault; the other samples go on
  bool no_memory =
      false;  // nothing was computed, though all samples had been dropped: all that had work are lost
  double offload_store_s = 0, offload_load_s = 0;  // spent on kStore, kLoad
  double device_ms = 0;
};

}  // namespace pagoda
