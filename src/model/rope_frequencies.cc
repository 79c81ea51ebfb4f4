#include "model/rope_frequencies.h"

#include <cmath>
#include <numbers>

namespace pagoda {
namespace {

double frequency(const RopeConfig& config, int64_t pair, int64_t max_positions) {
  const double base = std::pow(config.theta, -2.0 * static_cast<double>(pair) / config.rotary_dim);
  if (config.scaling == RopeConfig::Scaling::kNone) return base;
  if (config.scaling == RopeConfig::Scaling::kLinear) return base / config.factor;
  if (config.scaling == RopeConfig::Scaling::kLongRope) {
    const bool is_long = static_cast<double>(max_positions) > config.original_max_position_embeddings;
    return base / (is_long ? config.long_factors : config.short_factors)[static_cast<std::size_t>(pair)];
  }
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

std::vector<double> rope_frequencies(const RopeConfig& config, int64_t max_positions) {
  std::vector<double> frequencies;
  for (int64_t pair = 0; pair < config.rotary_dim / 2; ++pair)
    frequencies.push_back(frequency(config, pair, max_positions));
  return frequencies;
}

}  // namespace pagoda
