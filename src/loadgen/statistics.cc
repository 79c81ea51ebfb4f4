#include "loadgen/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace pagoda {

double percentile(std::span<const double> sorted, double percent) {
  PAGODA_CHECK(!sorted.empty() && percent >= 0 && percent <= 100, "percentile of nothing, or beyond 100");
  double rank = percent / 100 * static_cast<double>(sorted.size() - 1);
  auto low = static_cast<std::size_t>(rank);
  std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (rank - static_cast<double>(low));
}

Distribution distribution_of(std::vector<double> values, const std::vector<double>& percents) {
  Distribution out;
  if (values.empty()) values.push_back(0);
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (double value : values) sum += value;
  out.mean = sum / count;
  for (double value : values) squares += (value - out.mean) * (value - out.mean);
  out.std = std::sqrt(squares / count);
  out.median = percentile(values, 50);
  for (double percent : percents) out.percentiles.emplace_back(percent, percentile(values, percent));
  return out;
}

}  // namespace pagoda
