#include "ops/moe.h"

#include <cstring>

#include "ops/cpu/run.h"

namespace pagoda {
namespace {

// Logits to probabilities, in place. The sum runs over ascending experts.
void softmax(float* row, int64_t count) {
  float largest = row[0];
  for (int64_t i = 1; i < count; ++i) largest = std::max(largest, row[i]);
  for (int64_t i = 0; i < count; ++i) row[i] -= largest;
  cpu::kernels().rows.exp(row, row, count);
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

ExpertRouting::ExpertRouting(int32_t max_experts, int64_t max_choices) {
  const auto most = static_cast<std::size_t>(max_choices);
  begin_.reserve(static_cast<std::size_t>(max_experts) + 1);
  chosen_.reserve(most);
  chosen_weights_.reserve(most);
  rows_.reserve(most);
  weights_.reserve(most);
  is_first_.reserve(most);
}

void ExpertRouting::route(const Tensor& logits, int32_t experts_per_token, bool normalize,
                          ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  const int64_t num_experts = logits.columns();
  cpu::check_matrix(logits, logits.rows(), num_experts);
  PAGODA_CHECK(experts_per_token > 0 && experts_per_token <= num_experts, "as many experts as there are");
  const auto per_token = static_cast<std::size_t>(experts_per_token);
  const std::size_t count = static_cast<std::size_t>(logits.rows()) * per_token;
  chosen_.resize(count);
  chosen_weights_.resize(count);
  const int64_t work = num_experts * (20 + experts_per_token);
  cpu::split(stream, logits.rows(), work, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const std::size_t at = static_cast<std::size_t>(t) * per_token;
      const std::span<float> weights = std::span(chosen_weights_).subspan(at, per_token);
      softmax(logits.row<float>(t), num_experts);
      choose(logits.row<float>(t), num_experts, std::span(chosen_).subspan(at, per_token), weights);
      if (!normalize) continue;
      float sum = 0;
      for (float weight : weights) sum += weight;
      for (float& weight : weights) weight /= sum;
    }
  });

  // By expert, and within one by token: a counting sort.
  begin_.assign(static_cast<std::size_t>(num_experts) + 1, 0);
  for (int32_t expert : chosen_) ++begin_[static_cast<std::size_t>(expert) + 1];
  for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
  rows_.resize(count);
  weights_.resize(count);
  is_first_.resize(count);
  for (std::size_t i = count; i-- > 0;) {  // from behind: begin_ of the next expert runs down to this one's
    const std::size_t token = i / per_token * per_token;
    const auto at = static_cast<std::size_t>(--begin_[static_cast<std::size_t>(chosen_[i]) + 1]);
    rows_[at] = static_cast<int32_t>(i / per_token);
    weights_[at] = chosen_weights_[i];
    const std::span<const int32_t> experts = std::span(chosen_).subspan(token, per_token);
    is_first_[at] = chosen_[i] == *std::min_element(experts.begin(), experts.end());
  }
  std::copy(begin_.begin() + 1, begin_.end(), begin_.begin());
  begin_.back() = static_cast<int32_t>(count);
}

ExpertRouting::Share ExpertRouting::of(int32_t expert) const {
  const auto begin = static_cast<std::size_t>(begin_[static_cast<std::size_t>(expert)]);
  const auto count = static_cast<std::size_t>(begin_[static_cast<std::size_t>(expert) + 1]) - begin;
  return {std::span(rows_).subspan(begin, count), std::span(weights_).subspan(begin, count),
          std::span(is_first_).subspan(begin, count)};
}

void gather_input(const MatmulInput& input, const Tensor& x, const ExpertRouting::Share& share,
                  ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  cpu::check_matrix(x, x.rows(), input.k);
  PAGODA_CHECK(input.rows == static_cast<int64_t>(share.rows.size()), "a row for each of the share");
  cpu::split(stream, input.rows, 8 * input.k, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      cpu::convert_row(input, i, x.row<float>(share.rows[static_cast<std::size_t>(i)]));
  });
}

void scatter_rows(const Tensor& y, const Tensor& x, const ExpertRouting::Share& share, bool stores,
                  ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  const int64_t columns = x.columns();
  cpu::check_matrix(x, static_cast<int64_t>(share.rows.size()), columns);
  cpu::check_matrix(y, y.rows(), columns);
  cpu::split(stream, x.rows(), 4 * columns, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      float* row = y.row<float>(share.rows[at]);
      if (stores && share.is_first[at] != 0)
        std::memset(row, 0, static_cast<std::size_t>(columns) * sizeof(float));
      cpu::kernels().rows.add_scaled(row, x.row<float>(i), share.weights[at], columns);
    }
  });
}

}  // namespace pagoda
