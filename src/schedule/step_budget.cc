#include "schedule/step_budget.h"

#include <algorithm>

namespace pagoda {
namespace {

// A chunk smaller than a block would hardly move a prompt; that much it always gets.
constexpr int64_t kLeastChunk = 16;
// Planning, handing out and sending take a little of the time between two tokens.
constexpr double kShareOfSteps = 0.97;

}  // namespace

double StepBudget::limit_ms(const StepDemand& demand) const {
  if (config_.itl_slo_ms > 0) {
    return config_.itl_slo_ms * kShareOfSteps / slo_margin_;
  }
  constexpr double kMargin = 0.85;  // so that the slower ones of the steps keep the promise too
  const double share =
      std::max(static_cast<double>(demand.num_prefilling) / static_cast<double>(demand.num_decoding), 1.);
  return model_.predict_ms(demand.decodes) * (1 + kMargin * share);
}

int32_t StepBudget::prefill_tokens(const StepDemand& demand) const {
  const int64_t most = std::max<int64_t>(config_.max_num_batched_tokens - demand.num_decoding, 1);
  if (!config_.adaptive_chunks || demand.num_decoding == 0) return static_cast<int32_t>(most);
  if (!model_.is_ready()) return static_cast<int32_t>(std::min<int64_t>(most, 2 * kLeastChunk));
  const double limit = limit_ms(demand);
  auto fits = [&](int64_t tokens) {
    StepShape shape = demand.decodes;
    shape.add_prefill(demand.prefill_context, tokens);
    return model_.predict_ms(shape) <= limit;
  };
  int64_t low = std::min(kLeastChunk, most), high = std::min(most, 2 * largest_step_);
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    (fits(middle) ? low : high) = fits(middle) ? middle : middle - 1;
  }
  return static_cast<int32_t>(low);
}

bool StepBudget::has_room_for_more(const StepDemand& demand) const {
  if (config_.itl_slo_ms <= 0 || !config_.adaptive_chunks || demand.num_decoding == 0) return true;
  StepShape shape = demand.decodes;
  shape.add_prefill(demand.prefill_context, kLeastChunk);
  return !model_.is_ready() || model_.predict_ms(shape) <= config_.itl_slo_ms * kShareOfSteps;
}

void StepBudget::observe(const StepShape& shape, double ms) {
  model_.observe(shape, ms);
  const bool is_mixed = shape.decode_context > 0 && shape.prefill_pairs > 0;
  if (config_.itl_slo_ms > 0 && is_mixed && model_.is_ready()) {
    // Aims at a fifth of the hundredth that may break it, whatever the model's errors are; not at any price,
    // since a machine's own pauses do not go away with smaller chunks.
    constexpr double kRate = 0.1, kBroken = 0.002, kMost = 2;
    slo_margin_ *= 1 + kRate * (ms > config_.itl_slo_ms * kShareOfSteps ? 1 : -kBroken);
    slo_margin_ = std::clamp(slo_margin_, 1., kMost);
  }
  largest_step_ = std::max(largest_step_, shape.num_tokens);
}

}  // namespace pagoda
