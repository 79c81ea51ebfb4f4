// The loadgen room: loads (synthetic ones, files, traces), their arrival times, what carries them to a server
// over HTTP or to an engine in this process, and the statistics of what came back, by vLLM's definitions. It
// prints nothing: reports are text and values for cli/.
#pragma once
#include <span>
#include <utility>
#include <vector>

namespace pagoda {

// Requires: sorted, not empty, 0 <= percent <= 100. Linear between the two nearest ranks, as numpy does.
double percentile(std::span<const double> sorted, double percent);

struct Distribution {
  double mean = 0, median = 0, std = 0;                // std: of the population; all 0 without values
  std::vector<std::pair<double, double>> percentiles;  // percent, value
};
Distribution distribution_of(std::vector<double> values, const std::vector<double>& percents);

}  // namespace pagoda
