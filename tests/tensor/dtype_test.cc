#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/rng.h"

namespace pagoda {
namespace {

TEST(DType, EveryHalfSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    if (std::isnan(f16_to_float(half))) {
      EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(f16_to_float(half)))));
    } else {
      EXPECT_EQ(float_to_f16(f16_to_float(half)), half);
    }
    if (!std::isnan(bf16_to_float(half))) {
      EXPECT_EQ(float_to_bf16(bf16_to_float(half)), half);
    }
  }
}

// Independent truth: the compiler's own _Float16, and rounding to 8 significant bits in double.
TEST(DType, RoundsToNearestEven) {
  SplitMix64 random(7);
  for (int i = 0; i < 300000; ++i) {
    float number = std::bit_cast<float>(static_cast<uint32_t>(random.next()));
    if (std::isnan(number)) continue;
    EXPECT_EQ(float_to_f16(number), std::bit_cast<uint16_t>(static_cast<_Float16>(number))) << number;
    int exponent = 0;
    double fraction = std::frexp(static_cast<double>(number), &exponent);
    if (exponent < -125 || std::isinf(number)) continue;
    double rounded = std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8);
    EXPECT_EQ(bf16_to_float(float_to_bf16(number)), static_cast<float>(rounded)) << number;
  }
}

TEST(DType, NamesReadBack) {
  for (int i = 0; i <= static_cast<int>(DType::kF8E5M2); ++i) {
    DType back;
    ASSERT_TRUE(parse_dtype_name(dtype_name(static_cast<DType>(i)), &back));
    EXPECT_EQ(back, static_cast<DType>(i));
  }
  DType unused;
  EXPECT_FALSE(parse_dtype_name("F3", &unused));
}

}  // namespace
}  // namespace pagoda
