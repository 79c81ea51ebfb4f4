#include "ops/moe.h"

#include <algorithm>

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

ExpertRouting::ExpertRouting(int32_t max_experts, int64_t max_choices) {
  const auto most = static_cast<std::size_t>(max_choices);
  begin_.reserve(static_cast<std::size_t>(max_experts) + 1);
  chosen_.reserve(most);
  chosen_weights_.reserve(most);
  rows_.host().reserve(most);
  weights_.host().reserve(most);
  is_first_.host().reserve(most);
}

std::size_t ExpertRouting::bytes(int64_t max_choices) {
  constexpr std::size_t kChosen = sizeof(int32_t) + sizeof(float);
  constexpr std::size_t kShare = sizeof(int32_t) + sizeof(float) + sizeof(uint8_t);
  return static_cast<std::size_t>(max_choices) * (kChosen + 2 * kShare);
}

void ExpertRouting::route(const Tensor& logits, int32_t experts_per_token, bool normalize,
                          ComputeStream& stream) {
  const int64_t num_experts = logits.columns();
  check_matrix("route: logits", logits, logits.rows(), num_experts);
  PAGODA_CHECK(experts_per_token > 0 && experts_per_token <= num_experts, "as many experts as there are");
  const OpTimer timer(stream, OpKind::kRows);
  const auto per_token = static_cast<std::size_t>(experts_per_token);
  chosen_.resize(static_cast<std::size_t>(logits.rows()) * per_token);
  chosen_weights_.resize(chosen_.size());
  stream.ops().choose_experts(chosen_, chosen_weights_, logits, normalize, stream);
  sort(static_cast<std::size_t>(num_experts), per_token);
  all_ = {rows_.upload(stream.memory()), weights_.upload(stream.memory()), is_first_.upload(stream.memory())};
}

// By expert, and within one by token: a counting sort.
void ExpertRouting::sort(std::size_t num_experts, std::size_t per_token) {
  const std::size_t count = chosen_.size();
  begin_.assign(num_experts + 1, 0);
  for (int32_t expert : chosen_) ++begin_[static_cast<std::size_t>(expert) + 1];
  for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
  rows_.host().resize(count);
  weights_.host().resize(count);
  is_first_.host().resize(count);
  for (std::size_t i = count; i-- > 0;) {  // from behind: begin_ of the next expert runs down to this one's
    const std::size_t token = i / per_token * per_token;
    const auto at = static_cast<std::size_t>(--begin_[static_cast<std::size_t>(chosen_[i]) + 1]);
    rows_.host()[at] = static_cast<int32_t>(i / per_token);
    weights_.host()[at] = chosen_weights_[i];
    const std::span<const int32_t> experts = std::span(chosen_).subspan(token, per_token);
    is_first_.host()[at] = chosen_[i] == *std::min_element(experts.begin(), experts.end());
  }
  std::copy(begin_.begin() + 1, begin_.end(), begin_.begin());
  begin_.back() = static_cast<int32_t>(count);
}

ExpertShare ExpertRouting::of(int32_t expert) const {
  const int64_t begin = begin_[static_cast<std::size_t>(expert)];
  const int64_t count = begin_[static_cast<std::size_t>(expert) + 1] - begin;
  return {{all_.rows.data + begin, count},
          {all_.weights.data + begin, count},
          {all_.is_first.data + begin, count}};
}

void gather_input(const MatmulInput& input, const Tensor& x, const ExpertShare& share,
                  ComputeStream& stream) {
  check_matrix("gather_input: x", x, x.rows(), input.k);
  check_size("gather_input: rows", input.rows, share.rows.size);
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().gather_input(input, x, share.rows, stream);
}

void scatter_rows(const Tensor& y, const Tensor& x, const ExpertShare& share, bool stores,
                  ComputeStream& stream) {
  check_matrix("scatter_rows: x", x, share.rows.size, x.columns());
  check_matrix("scatter_rows: y", y, y.rows(), x.columns());
  check_size("scatter_rows: weights", share.weights.size, share.rows.size);
  check_size("scatter_rows: is_first", share.is_first.size, share.rows.size);
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().scatter_rows(y, x, share, stores, stream);
}

}  // namespace pagoda
