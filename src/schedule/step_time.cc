#include "schedule/step_time.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pagoda {

// Constant (weights are read once), tokens, the same beyond two knees (few rows wait for memory, more rows
// for arithmetic), context read by decodes, pairs of prompts; in units that make the terms of like size.
StepTimeModel::Terms StepTimeModel::terms_of(const StepShape& shape) {
  const auto tokens = static_cast<double>(shape.num_tokens);
  constexpr double kTokens = 1. / 32, kContext = 1. / 16384, kPairs = 1. / 65536;
  return {1,
          tokens * kTokens,
          std::max(tokens - 8, 0.) * kTokens,
          std::max(tokens - 32, 0.) * kTokens,
          std::max(tokens - 128, 0.) * kTokens,
          static_cast<double>(shape.decode_context) * kContext,
          shape.prefill_pairs * kPairs};
}

double StepTimeModel::predict_ms(const StepShape& shape) const {
  const Terms terms = terms_of(shape);
  double ms = 0;
  for (std::size_t i = 0; i < kNumTerms; ++i) ms += coefficients_[i] * terms[i];
  return ms;
}

// By powers of two of the tokens, and of four of the context that a prompt's tokens attend to.
std::size_t StepTimeModel::class_of(const StepShape& shape) {
  const auto tokens = static_cast<uint64_t>(shape.num_tokens);
  const auto context = static_cast<uint64_t>(shape.prefill_pairs / static_cast<double>(tokens)) / 256;
  const auto size = static_cast<std::size_t>(std::bit_width(tokens) - 1);
  const auto depth = static_cast<std::size_t>(std::bit_width(context) + 1) / 2;
  return std::min(size, kNumSizes - 1) * kNumDepths + std::min(depth, kNumDepths - 1);
}

void StepTimeModel::observe(const StepShape& shape, double ms) {
  if (!(ms > 0) || shape.num_tokens <= 0) return;
  const double predicted = predict_ms(shape);
  // A step that other processes made three times as long says little of steps.
  if (is_ready() && predicted > 0) ms = std::min(ms, 3 * predicted);
  constexpr double kFade = 0.97;
  StepClass& steps = classes_[class_of(shape)];
  const Terms terms = terms_of(shape);
  const double weight = 1 / (ms * ms);  // errors count relative to the time
  steps.weight = steps.weight * kFade + 1;
  for (std::size_t i = 0; i < kNumTerms; ++i) {
    for (std::size_t j = 0; j < kNumTerms; ++j)
      steps.products[i][j] = steps.products[i][j] * kFade + weight * terms[i] * terms[j];
    steps.with_time[i] = steps.with_time[i] * kFade + weight * terms[i] * ms;
  }
  ++num_observed_;
  fit();
}

// Coordinate descent from the last solution; a coefficient that wants to be negative is 0.
void StepTimeModel::fit() {
  std::array<Terms, kNumTerms> a{};
  Terms b{};
  for (const StepClass& steps : classes_) {
    if (steps.weight == 0) continue;
    const double share = std::min(steps.weight, 4.) / steps.weight;
    for (std::size_t i = 0; i < kNumTerms; ++i) {
      for (std::size_t j = 0; j < kNumTerms; ++j) a[i][j] += share * steps.products[i][j];
      b[i] += share * steps.with_time[i];
    }
  }
  constexpr int kRounds = 24;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kNumTerms; ++i) {
      if (a[i][i] <= 0) continue;
      double rest = b[i];
      for (std::size_t j = 0; j < kNumTerms; ++j) rest -= j == i ? 0 : a[i][j] * coefficients_[j];
      coefficients_[i] = std::max(rest / a[i][i], 0.);
    }
  }
}

}  // namespace pagoda
