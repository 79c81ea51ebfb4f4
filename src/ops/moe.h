// A mixture of experts (Shazeer et al., 2017): which tokens go to which expert, and the way there and back.
// PROMISE: a token's experts, their weights and the order in which their outputs are added (experts
// ascending) depend on its own row alone.
#pragma once
#include <cstdint>
#include <vector>

#include "ops/compute_stream.h"
#include "ops/matmul.h"
#include "tensor/staged_array.h"

namespace pagoda {

// One expert's share of a step, in ascending order of tokens.
struct ExpertShare {
  DeviceSpan<const int32_t> rows;      // of the step
  DeviceSpan<const float> weights;     // of the expert's output, for each row
  DeviceSpan<const uint8_t> is_first;  // no expert before this one has the row
};

// The tokens of a step by expert: chosen on the device, sorted on the host, which has to know the shares'
// sizes. Its arrays keep their memory from step to step.
class ExpertRouting {
 public:
  ExpertRouting() = default;
  // Room for so many, summed over the tokens of a step.
  ExpertRouting(int32_t max_experts, int64_t max_choices);
  static std::size_t bytes(int64_t max_choices);  // of its arrays, on the host and on the device

  // Chooses for each token the `experts_per_token` experts with the greatest softmax of its logits (of equal
  // ones the lowest), which are their weights; `normalize`: divided by their sum. logits: [num_tokens,
  // num_experts] float32; its contents are spent.
  void route(const Tensor& logits, int32_t experts_per_token, bool normalize, ComputeStream& stream);
  // Valid until the next route().
  ExpertShare of(int32_t expert) const;

 private:
  void sort(std::size_t num_experts, std::size_t per_token);

  std::vector<int32_t> chosen_;        // [num_tokens, experts_per_token] experts
  std::vector<float> chosen_weights_;  // of them
  std::vector<int32_t> begin_;         // [num_experts + 1] of each share
  // The shares, one after another, and as ops see them.
  StagedArray<int32_t> rows_;
  StagedArray<float> weights_;
  StagedArray<uint8_t> is_first_;
  ExpertShare all_;
};

// Row i of `input` from row share.rows[i] of x, as convert_input() makes it.
void gather_input(const MatmulInput& input, const Tensor& x, const ExpertShare& share, ComputeStream& stream);

// y[share.rows[i]] += share.weights[i] * x[i]; `stores`: those that are first are set instead. x, y: float32
// of equal width.
void scatter_rows(const Tensor& y, const Tensor& x, const ExpertShare& share, bool stores,
                  ComputeStream& stream);

}  // namespace pagoda
