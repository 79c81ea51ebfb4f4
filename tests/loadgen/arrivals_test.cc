#include "loadgen/arrivals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace pagoda {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// Mean shape * scale, variance shape * scale^2; the bounds are five standard errors.
TEST(Gamma, HasItsMeanAndVariance) {
  constexpr int kDraws = 200000;
  struct Case {
    double shape, scale;
  };
  for (const Case& c : {Case{0.25, 2}, Case{0.9, 1}, Case{1, 0.5}, Case{3.5, 0.1}, Case{40, 1}}) {
    SplitMix64 rng(7);
    double sum = 0, squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      double x = sample_gamma(c.shape, c.scale, &rng);
      ASSERT_GE(x, 0);
      sum += x;
      squares += x * x;
    }
    double mean = sum / kDraws, variance = squares / kDraws - mean * mean;
    double expected_variance = c.shape * c.scale * c.scale;
    EXPECT_NEAR(mean, c.shape * c.scale, 5 * std::sqrt(expected_variance / kDraws)) << c.shape;
    // The kurtosis of a gamma distribution is 3 + 6 / shape.
    double error = expected_variance * std::sqrt((2 + 6 / c.shape) / kDraws);
    EXPECT_NEAR(variance, expected_variance, 5 * error) << c.shape;
  }
}

TEST(Arrivals, AllAtOnceWithoutARate) {
  for (double time : arrival_times({}, 10, 0)) EXPECT_EQ(time, 0);
}

TEST(Arrivals, EndExactlyWhereTheRateSays) {
  for (double burstiness : {0.3, 1.0, 10.0, kInf}) {
    std::vector<double> times = arrival_times({4, burstiness}, 100, 1);
    EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
    EXPECT_NEAR(times.back(), 25, 1e-9) << burstiness;
    EXPECT_EQ(times, arrival_times({4, burstiness}, 100, 1)) << "a seed gives the same times again";
  }
}

TEST(Arrivals, BurstinessIsTheShapeOfTheGaps) {
  auto variation = [](double burstiness) {  // squared coefficient of variation: 1 / shape
    std::vector<double> times = arrival_times({10, burstiness}, 50000, 3);
    double sum = 0, squares = 0;
    for (std::size_t i = 1; i < times.size(); ++i) {
      double gap = times[i] - times[i - 1];
      sum += gap;
      squares += gap * gap;
    }
    double mean = sum / static_cast<double>(times.size() - 1);
    return squares / static_cast<double>(times.size() - 1) / (mean * mean) - 1;
  };
  EXPECT_NEAR(variation(0.5), 2, 0.2);
  EXPECT_NEAR(variation(1), 1, 0.1);
  EXPECT_NEAR(variation(4), 0.25, 0.03);
  EXPECT_NEAR(variation(kInf), 0, 1e-6);
}

TEST(Arrivals, RampUp) {
  // Equal gaps of 1 / rate: the rates themselves can be read off.
  ArrivalOptions options{kInf, kInf, RampUp::kLinear, 1, 5};
  std::vector<double> linear = arrival_times(options, 5, 0);
  const double kLinear[] = {1, 1 + 1. / 2, 1 + 1. / 2 + 1. / 3};
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(linear[static_cast<std::size_t>(i)], kLinear[i], 1e-9);
  options = {kInf, kInf, RampUp::kExponential, 1, 16};
  std::vector<double> exponential = arrival_times(options, 5, 0);
  const double kExponential[] = {1, 1.5, 1.75, 1.875, 1.9375};
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(exponential[static_cast<std::size_t>(i)], kExponential[i], 1e-9);
}

}  // namespace
}  // namespace pagoda
