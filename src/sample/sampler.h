// The sample room: from a row of logits to a token. Order as vLLM's: raw log-probabilities (if asked for) ->
// mask -> allowed ids -> bad words -> min_tokens -> logit_bias -> penalties -> greedy, or temperature ->
// min_p -> top_k -> top_p -> Gumbel-max draw. Trusts its parameters: they were checked when they came in.
//
// Logits lie in device memory. Their largest and the masks are ops over all rows at once; a row of which a
// sample needs more (a draw, log-probabilities, edits) is read on the host, in place where the host may.
//
// Invariant: what a sample gets is a pure function of its logits, parameters, history, output_index and mask,
// in every bit; neighbours, rows and threads do not enter. Holds no state but scratch; used by one thread at
// a time, which shares the work among the stream's pool.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "contract/step_plan.h"
#include "contract/step_result.h"
#include "ops/logits.h"
#include "sample/penalties.h"
#include "tensor/staged_array.h"

namespace pagoda {

inline constexpr float kGreedyTemperature = 1e-5f;  // below: the most probable token

struct SampleInput {
  std::size_t logits_row = 0;  // several samples may share one
  const SamplingParams* params = nullptr;
  uint64_t seed = 0;
  const TokenHistory* history =
      nullptr;  // ends where the sampled token goes; not looked at for kPromptLogprobs
  int32_t output_index = 0;
  const uint32_t* mask = nullptr;  // [ceil(vocab / 32)], 1 = allowed, of the host; null: none
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
  // logits: [rows, vocab] float32. outputs: as many as inputs; what they held is replaced. Requires: the
  // stream's pool has at most num_workers threads. Throws std::bad_alloc.
  void sample(const Tensor& logits, std::span<const SampleInput> inputs, std::span<SampleOutput> outputs,
              ComputeStream& stream);

 private:
  struct Scratch;
  struct Batch;  // of one call
  Tensor apply_masks(const Tensor& logits, std::span<const SampleInput> inputs, ComputeStream& stream);
  static void sample_one(const Batch& batch, std::size_t index, Scratch* scratch, SampleOutput* out);

  std::vector<std::unique_ptr<Scratch>> scratch_;  // by worker
  std::vector<RowMax> largest_, masked_largest_;   // of the logits; of the masked rows
  // By input: its row among the masked ones, or -1. Of those: the row of the logits, the mask.
  std::vector<int32_t> masked_row_;
  StagedArray<int32_t> mask_source_;
  StagedArray<uint32_t> masks_;
  DeviceBuffer masked_;
};

}  // namespace pagoda
