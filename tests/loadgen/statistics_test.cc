#include "loadgen/statistics.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

// Values by numpy.percentile (linear).
TEST(Percentile, AsNumpy) {
  struct Case {
    std::vector<double> values;
    double percent, expected;
  };
  const Case kCases[] = {
      {{5}, 0, 5},
      {{5}, 99, 5},
      {{1, 2}, 50, 1.5},
      {{1, 2, 3, 4}, 0, 1},
      {{1, 2, 3, 4}, 100, 4},
      {{1, 2, 3, 4}, 25, 1.75},
      {{1, 2, 3, 4}, 99, 3.97},
      {{10, 20, 30, 40, 1000}, 90, 616},
      {{10, 20, 30, 40, 1000}, 99.9, 996.16},
  };
  for (const Case& c : kCases) EXPECT_NEAR(percentile(c.values, c.percent), c.expected, 1e-9) << c.percent;
}

TEST(Distribution, OfUnsortedValues) {
  Distribution out = distribution_of({4, 2, 9, 4, 5, 7, 5, 4}, {50, 99, 99.9});
  EXPECT_DOUBLE_EQ(out.mean, 5);
  EXPECT_DOUBLE_EQ(out.median, 4.5);
  EXPECT_DOUBLE_EQ(out.std, 2) << "of the population";
  ASSERT_EQ(out.percentiles.size(), 3u);
  EXPECT_EQ(out.percentiles[0], (std::pair<double, double>{50, 4.5}));
  EXPECT_NEAR(out.percentiles[1].second, 8.86, 1e-9);
  EXPECT_NEAR(out.percentiles[2].second, 8.986, 1e-9);
}

TEST(Distribution, OfNothingIsZero) {
  Distribution out = distribution_of({}, {99});
  EXPECT_EQ(out.mean, 0);
  EXPECT_EQ(out.median, 0);
  EXPECT_EQ(out.std, 0);
  EXPECT_EQ(out.percentiles.at(0).second, 0);
}

}  // namespace
}  // namespace pagoda
