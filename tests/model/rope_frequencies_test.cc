#include "model/rope_frequencies.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace pagoda {
namespace {

TEST(RopeFrequencies, ScaledAsPublished) {
  RopeConfig config;
  config.rotary_dim = 128;
  config.theta = 500000;
  auto frequency = [&](RopeConfig::Scaling scaling, double factor, std::size_t pair) {
    config.scaling = scaling;
    config.factor = factor;
    return rope_frequencies(config, 2048).at(pair);
  };
  using S = RopeConfig::Scaling;
  for (std::size_t pair : {0, 20, 40, 63}) {
    const double base = std::pow(500000.0, -static_cast<double>(pair) / 64);
    EXPECT_NEAR(frequency(S::kNone, 1, pair), base, 1e-12);
    EXPECT_NEAR(frequency(S::kLinear, 4, pair), base / 4, 1e-12);
    // Meta's recipe in wavelengths: below 8192 / 4 as it is, above 8192 / 1 divided by 8, between them a
    // straight line in 8192 / wavelength.
    const double wavelength = 2 * std::numbers::pi / base;
    double expected = base;
    if (wavelength > 8192) expected = base / 8;
    if (wavelength <= 8192 && wavelength >= 2048) {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      expected = (1 - smooth) * base / 8 + smooth * base;
    }
    EXPECT_NEAR(frequency(S::kLlama3, 8, pair), expected, 1e-12 * expected) << pair;
  }
  // Pairs of all three kinds are there.
  const double middle = std::pow(500000.0, -30.0 / 64);
  EXPECT_GT(frequency(S::kLlama3, 8, 30), middle / 8 * 1.01);
  EXPECT_LT(frequency(S::kLlama3, 8, 30), middle * 0.99);
}

TEST(RopeFrequencies, LongRopeChoosesOnceByTheLongestContext) {
  RopeConfig config;
  config.scaling = RopeConfig::Scaling::kLongRope;
  config.rotary_dim = 4;
  config.theta = 100;
  config.original_max_position_embeddings = 64;
  config.short_factors = {1, 2};
  config.long_factors = {3, 5};
  EXPECT_EQ(rope_frequencies(config, 64), (std::vector<double>{1, 0.1 / 2}));
  EXPECT_EQ(rope_frequencies(config, 65), (std::vector<double>{1.0 / 3, 0.1 / 5}));
}

}  // namespace
}  // namespace pagoda
