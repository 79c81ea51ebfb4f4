#include "ops/rope.h"

#include <cmath>
#include <numbers>

#include "ops/cpu/run.h"

namespace pagoda {
namespace {

// Radians per position of pair `i`.
double frequency(const RopeConfig& config, int64_t i) {
  const double base = std::pow(config.theta, -2.0 * static_cast<double>(i) / config.rotary_dim);
  if (config.scaling == RopeConfig::Scaling::kNone) return base;
  if (config.scaling == RopeConfig::Scaling::kLinear) return base / config.factor;
  // Llama 3.1: wavelengths short against the original context stay, long ones are stretched, between them
  // interpolated.
  const double turns = config.original_max_position_embeddings * base / (2 * std::numbers::pi);
  if (turns > config.high_freq_factor) return base;
  if (turns < config.low_freq_factor || config.high_freq_factor == config.low_freq_factor)
    return base / config.factor;
  const double smooth = (turns - config.low_freq_factor) / (config.high_freq_factor - config.low_freq_factor);
  return (1 - smooth) * base / config.factor + smooth * base;
}

}  // namespace

RopeTable::RopeTable(const RopeConfig& config, int64_t max_positions)
    : half_(config.rotary_dim / 2), max_positions_(max_positions) {
  PAGODA_CHECK(config.rotary_dim >= 2 && config.rotary_dim % 2 == 0 && max_positions >= 0,
               "rotary_dim must be even");
  const auto size = static_cast<std::size_t>(half_ * max_positions);
  cos_.resize(size);
  sin_.resize(size);
  std::vector<double> steps;
  for (int64_t i = 0; i < half_; ++i) steps.push_back(frequency(config, i));
  for (int64_t position = 0; position < max_positions; ++position) {
    for (int64_t i = 0; i < half_; ++i) {
      const auto at = static_cast<std::size_t>(position * half_ + i);
      const double angle = static_cast<double>(position) * steps[static_cast<std::size_t>(i)];
      cos_[at] = static_cast<float>(std::cos(angle));
      sin_[at] = static_cast<float>(std::sin(angle));
    }
  }
}

void rope(const Tensor& x, const int32_t* positions, int32_t num_heads, int32_t head_dim,
          const RopeTable& table, ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  const int64_t half = table.half();
  PAGODA_CHECK(2 * half <= head_dim, "rotary_dim exceeds head_dim");
  cpu::check_matrix(x, x.rows(), int64_t{num_heads} * head_dim);
  cpu::split(stream, x.rows(), int64_t{2} * num_heads * half, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t position = positions[t];
      PAGODA_CHECK(position >= 0 && position < table.max_positions(), "position outside of the rotary table");
      for (int64_t head = 0; head < num_heads; ++head)
        cpu::kernels().rows.rope(x.row<float>(t) + head * head_dim, table.cos(position), table.sin(position),
                                 half);
    }
  });
}

}  // namespace pagoda
