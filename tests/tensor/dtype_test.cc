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

// Truth by search: the nearest of all numbers, and of two equally near the one with an even code.
TEST(DType, E4M3RoundsToNearestEvenAndStopsAt448) {
  for (uint32_t code = 0; code < 256; ++code) {
    const float number = e4m3_to_float(static_cast<uint8_t>(code));
    if ((code & 0x7F) == 0x7F)
      EXPECT_TRUE(std::isnan(number));
    else
      EXPECT_EQ(float_to_e4m3(number), code);
  }
  EXPECT_EQ(e4m3_to_float(0x7E), 448);
  EXPECT_EQ(e4m3_to_float(0x01), 0x1p-9f);
  EXPECT_EQ(e4m3_to_float(0x08), 0x1p-6f);
  auto check = [](float number) {
    const double size = std::fabs(static_cast<double>(number));
    auto miss = [&](uint8_t code) { return std::fabs(static_cast<double>(e4m3_to_float(code)) - size); };
    uint8_t best = 0;
    for (uint8_t code = 1; code < 0x7F; ++code)
      if (miss(code) < miss(best) || (miss(code) == miss(best) && code % 2 == 0)) best = code;
    ASSERT_EQ(float_to_e4m3(number), best | (std::signbit(number) ? 0x80 : 0)) << number;
  };
  SplitMix64 random(8);
  for (int i = 0; i < 20000; ++i)
    check(std::ldexp(static_cast<float>(random.next() >> 40), -static_cast<int>(random.next() % 36)) *
          (i % 2 == 0 ? 1 : -1));
  for (uint8_t code = 0; code < 0x7E; ++code) {
    const float middle = (e4m3_to_float(code) + e4m3_to_float(static_cast<uint8_t>(code + 1))) / 2;
    for (float number : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e3f)}) {
      check(number);
      check(-number);
    }
  }
  for (float number : {449.0f, 464.0f, 1e30f, INFINITY}) {
    EXPECT_EQ(float_to_e4m3(number), 0x7E);
    EXPECT_EQ(float_to_e4m3(-number), 0xFE);
  }
  EXPECT_TRUE(std::isnan(e4m3_to_float(float_to_e4m3(NAN))));
  for (float number : {0.0f, 1e-30f, 0x1p-140f}) EXPECT_EQ(float_to_e4m3(number), 0);
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
