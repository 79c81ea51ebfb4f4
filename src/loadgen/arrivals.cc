#include "loadgen/arrivals.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pagoda {
namespace {

// Box and Muller (1958).
double sample_normal(SplitMix64* rng) {
  double radius = std::sqrt(-2 * std::log(1 - rng->uniform()));
  return radius * std::cos(2 * std::numbers::pi * rng->uniform());
}

double rate_at(const ArrivalOptions& options, std::size_t index, std::size_t count) {
  double progress = static_cast<double>(index) / static_cast<double>(std::max<std::size_t>(count - 1, 1));
  double start = options.ramp_up_start_rps, end = options.ramp_up_end_rps;
  switch (options.ramp_up) {
    case RampUp::kNone:
      break;
    case RampUp::kLinear:
      return start + (end - start) * progress;
    case RampUp::kExponential:
      return start * std::pow(end / start, progress);
  }
  return options.request_rate;
}

}  // namespace

double sample_gamma(double shape, double scale, SplitMix64* rng) {
  if (shape < 1) {  // Gamma(a) = Gamma(a + 1) * U^(1/a)
    double boost = std::pow(1 - rng->uniform(), 1 / shape);
    return sample_gamma(shape + 1, scale, rng) * boost;
  }
  double d = shape - 1. / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    double x = sample_normal(rng), v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    if (std::log(1 - rng->uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v * scale;
  }
}

std::vector<double> arrival_times(const ArrivalOptions& options, std::size_t count, uint64_t seed) {
  SplitMix64 rng(seed);
  std::vector<double> times(count);
  double now = 0;
  for (std::size_t i = 0; i < count; ++i) {
    double rate = rate_at(options, i, count);
    if (std::isinf(rate))
      continue;
    else if (std::isinf(options.burstiness))
      now += 1 / rate;
    else
      now += sample_gamma(options.burstiness, 1 / (rate * options.burstiness), &rng);
    times[i] = now;
  }
  bool constant_rate = options.ramp_up == RampUp::kNone && !std::isinf(options.request_rate);
  if (constant_rate && now > 0) {
    double stretch = static_cast<double>(count) / options.request_rate / now;
    for (double& time : times) time *= stretch;
  }
  return times;
}

}  // namespace pagoda
