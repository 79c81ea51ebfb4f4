#include "ops/moe.h"

#include <cstring>

#include "ops/cpu/ops.h"
#include "ops/cpu/run.h"

namespace pagoda::cpu {
namespace {

// Logits to probabilities, in place. The sum runs over ascending experts.
void softmax(float* row, int64_t count) {
  float largest = row[0];
  for (int64_t i = 1; i < count; ++i) largest = std::max(largest, row[i]);
  for (int64_t i = 0; i < count; ++i) row[i] -= largest;
  kernels().rows.exp(row, row, count);
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += row[i];
  for (int64_t i = 0; i < count; ++i) row[i] /= sum;
}

// The experts of the greatest probabilities and these, descending; NaN is less than any. Spends `row`.
void choose(float* row, int64_t num_experts, std::span<int32_t> experts, std::span<float> weights) {
  constexpr float kTaken = -2;
  for (std::size_t place = 0; place < experts.size(); ++place) {
    int64_t best = -1;
    for (int64_t i = 0; i < num_experts; ++i)
      if (row[i] != kTaken && (best < 0 || row[i] > row[best])) best = i;
    experts[place] = static_cast<int32_t>(best);
    weights[place] = row[best];
    row[best] = kTaken;
  }
}

}  // namespace

void choose_experts(std::span<int32_t> experts, std::span<float> weights, const Tensor& logits,
                    bool normalize, ComputeStream& stream) {
  if (logits.rows() == 0) return;
  const int64_t num_experts = logits.columns();
  const std::size_t per_token = experts.size() / static_cast<std::size_t>(logits.rows());
  const int64_t work = num_experts * (20 + static_cast<int64_t>(per_token));
  split(stream, logits.rows(), work, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const std::size_t at = static_cast<std::size_t>(t) * per_token;
      const std::span<float> own = weights.subspan(at, per_token);
      softmax(logits.row<float>(t), num_experts);
      choose(logits.row<float>(t), num_experts, experts.subspan(at, per_token), own);
      if (!normalize) continue;
      float sum = 0;
      for (float weight : own) sum += weight;
      for (float& weight : own) weight /= sum;
    }
  });
}

void gather_input(const MatmulInput& input, const Tensor& x, DeviceSpan<const int32_t> rows,
                  ComputeStream& stream) {
  split(stream, input.rows, 8 * input.k, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) convert_row(input, i, x.row<float>(rows.data[i]));
  });
}

void scatter_rows(const Tensor& y, const Tensor& x, const ExpertShare& share, bool stores,
                  ComputeStream& stream) {
  const int64_t columns = x.columns();
  split(stream, x.rows(), 4 * columns, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = y.row<float>(share.rows.data[i]);
      if (stores && share.is_first.data[i] != 0)
        std::memset(row, 0, static_cast<std::size_t>(columns) * sizeof(float));
      kernels().rows.add_scaled(row, x.row<float>(i), share.weights.data[i], columns);
    }
  });
}

}  // namespace pagoda::cpu
