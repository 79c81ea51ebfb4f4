// The sample room: from a row of logits to a token. Order as vLLM's: raw log-probabilities (if asked for) ->
// mask -> allowed ids -> bad words -> min_tokens -> logit_bias -> penalties -> greedy, or temperature ->
// min_p -> top_k -> top_p -> Gumbel-max draw. Trusts its parameters: they were judged at the door.
//
// Invariant: what a sample gets is a pure function of its logits, parameters, history, output_index and mask,
// in every bit; neighbours, rows and threads do not enter. Holds no state but scratch; used by one thread at
// a time, which shares the work among the pool.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "contract/step_plan.h"
#include "contract/step_result.h"
#include "sample/penalties.h"

namespace pagoda {

inline constexpr float kGreedyTemperature = 1e-5f;  // below: the most probable token

struct SampleInput {
  std::span<const float> logits;  // [vocab]; several samples may share a row
  const SamplingParams* params = nullptr;
  uint64_t seed = 0;
  const TokenHistory* history =
      nullptr;  // ends where the sampled token goes; not looked at for kPromptLogprobs
  int32_t output_index = 0;
  const uint32_t* mask = nullptr;  // [ceil(vocab / 32)] or null
  SampleKind kind = SampleKind::kSample;
  TokenId target = 0;  // kPromptLogprobs
};

struct SampleOutput {
  TokenId token = 0;
  float logprob =
      0;  // logprob, rank, top: where num_logprobs (num_prompt_logprobs for a prompt's token) >= 0
  int32_t rank = 0;
  std::span<TopLogprob> top;  // the caller's: the most probable, as many as there is room for; unless bad
  bool bad = false;  // NaN or +infinity among the logits, or nothing allowed: `token` is 0 and means nothing
  bool nothing_allowed = false;  // bad, though the logits are not
  // As new, but `top` keeps its room.
  void clear() {
    token = 0;
    logprob = 0;
    rank = 0;
    bad = nothing_allowed = false;
  }
};

class Sampler {
 public:
  explicit Sampler(int num_workers);
  ~Sampler();
  // outputs: as many as inputs; what they held is replaced. Requires: pool.num_threads() <= num_workers.
  void sample(std::span<const SampleInput> inputs, std::span<SampleOutput> outputs, ComputePool& pool);

 private:
  struct Scratch;
  std::vector<std::unique_ptr<Scratch>> scratch_;  // by worker
};

}  // namespace pagoda
