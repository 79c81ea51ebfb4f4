#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "base/rng.h"

namespace pagoda {

enum class RampUp { kNone, kLinear, kExponential };

// How requests arrive, in vLLM's terms.
struct ArrivalOptions {
  double request_rate = std::numeric_limits<double>::infinity();  // requests/s; infinite: all at once
  // Shape of the gamma distribution of the gaps: 1 Poisson, below burstier, infinite: equal gaps.
  double burstiness = 1;
  RampUp ramp_up = RampUp::kNone;
  double ramp_up_start_rps = 0, ramp_up_end_rps = 0;
};

// A draw of the gamma distribution (Marsaglia and Tsang, "A simple method for generating gamma variables",
// 2000). Requires: shape > 0.
double sample_gamma(double shape, double scale, SplitMix64* rng);

// When each request is sent, in seconds after the start, ascending. Without a ramp the draws are stretched so
// that the last one falls on count / request_rate: the offered rate is exactly the one asked for.
// Requires: rates > 0, burstiness > 0.
std::vector<double> arrival_times(const ArrivalOptions& options, std::size_t count, uint64_t seed);

}  // namespace pagoda
