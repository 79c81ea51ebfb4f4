// Quantization of weights and of inputs: how near they come, and what must not matter.
#include <gtest/gtest.h>

#include <limits>

#include "ops/matmul.h"
#include "tests/ops/packed.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

const WeightFormat kIntegers[] = {kInt8Format,
                                  {WeightScheme::kInt4, 128, false},
                                  {WeightScheme::kInt4, 32, false},
                                  {WeightScheme::kInt4, 128, true},
                                  {WeightScheme::kInt4, 32, true}};

double norm_of(Matrix& matrix) {
  double sum = 0;
  for (int64_t r = 0; r < matrix.rows(); ++r)
    for (int64_t c = 0; c < matrix.columns(); ++c)
      sum += static_cast<double>(matrix.row(r)[c]) * static_cast<double>(matrix.row(r)[c]);
  return std::sqrt(sum);
}
// |a - b| / |b|, by norm.
double relative_error(Matrix& a, Matrix& b) {
  Matrix difference(a.rows(), a.columns());
  for (int64_t r = 0; r < a.rows(); ++r)
    for (int64_t c = 0; c < a.columns(); ++c) difference.row(r)[c] = a.row(r)[c] - b.row(r)[c];
  return norm_of(difference) / norm_of(b);
}
// The weights that a packed one stands for, for inputs as they are given.
void unpack(Matrix& out, const PackedWeight& packed) {
  const Panels panels(packed);
  for (int64_t row = 0; row < out.rows(); ++row)
    for (int64_t i = 0; i < out.columns(); ++i)
      out.row(row)[i] = panels.weight_at(row, i) * panels.column_scale(i);
}

double weight_bound(const WeightFormat& format) {
  if (format.scheme == WeightScheme::kInt8) return 0.0095;
  if (format.group_columns == 128) return format.zero_points ? 0.105 : 0.108;
  return format.zero_points ? 0.083 : 0.09;
}

TEST(Quantize, WeightsStayNear) {
  Machine machine(2);
  Random random(1);
  for (const WeightFormat& format : kIntegers)
    for (int64_t k : {64, 1000, 4100}) {
      StoredMatrix weight(70, k, DType::kF32, random, 0.02f);
      Matrix found(70, k);
      unpack(found, *weight.pack(format, machine.stream));
      EXPECT_LT(relative_error(found, weight.values), weight_bound(format))
          << format_name(format) << " k " << k;
    }
}

// A wide row or group that is all of one sign, or nothing at all.
TEST(Quantize, UnevenWeights) {
  Machine machine(1);
  Random random(2);
  for (const WeightFormat& format : kIntegers) {
    SCOPED_TRACE(format_name(format));
    StoredMatrix weight(6, 256, DType::kF32, random);
    for (int64_t i = 0; i < 256; ++i) {
      weight.values.row(0)[i] = 0;
      weight.values.row(1)[i] = 3 + 0.01f * weight.values.row(1)[i];  // far from zero
      weight.values.row(2)[i] = -3 + 0.01f * weight.values.row(2)[i];
      weight.values.row(3)[i] *= 1e-4f;
      weight.values.row(4)[i] = i == 77 ? 1.0f : 0.0f;
    }
    weight.store();
    auto packed = weight.pack(format, machine.stream);
    Matrix found(6, 256);
    unpack(found, *packed);
    for (int64_t i = 0; i < 256; ++i) {
      EXPECT_EQ(found.row(0)[i], 0);
      EXPECT_NEAR(found.row(4)[i], i == 77 ? 1 : 0, 0.02);
    }
    for (int64_t row : {1, 2, 3, 5}) {
      Matrix one(1, 256), given(1, 256);
      std::copy_n(found.row(row), 256, one.row(0));
      std::copy_n(weight.values.row(row), 256, given.row(0));
      EXPECT_LT(relative_error(one, given), 0.16) << row;
    }
  }
}

// Codes of the inputs: their own documented formula, row by row.
TEST(Quantize, InputsAreRoundedToTheNearestCode) {
  Machine machine(2);
  Random random(3);
  for (const WeightFormat& format : kIntegers)
    for (int64_t k : {1, 5, 16, 33, 100, 1001}) {
      StoredMatrix weight(3, k, DType::kF32, random);
      auto packed = weight.pack(format, machine.stream);
      const Panels panels(*packed);
      Matrix x(7, k, 2);
      random.fill(x, 5);
      for (int64_t i = 0; i < k; ++i) {
        x.row(1)[i] = 0;
        x.row(2)[i] *= 1e-20f;
        x.row(3)[i] *= 1e20f;
      }
      for (Isa isa : machine_isas()) {
        SCOPED_TRACE(format_name(format) + " k " + std::to_string(k) + ' ' + isa_name(isa));
        WithIsa with(isa);
        const Input input(*packed, x, machine.stream);
        for (int64_t t = 0; t < 7; ++t) {
          float largest = 0;
          for (int64_t i = 0; i < k; ++i)
            largest = std::max(largest, std::fabs(x.row(t)[i] * panels.column_scale(i)));
          ASSERT_EQ(input.scale(t), largest / 127.0f);
          const float inverse = largest < 1e-30f ? 0.0f : 127.0f / largest;
          const auto* codes = reinterpret_cast<const int8_t*>(input.words(t));
          for (int64_t i = 0; i < k; ++i)
            ASSERT_EQ(codes[i], std::nearbyint(x.row(t)[i] * panels.column_scale(i) * inverse))
                << t << ',' << i;
          for (int64_t i = k; i < Input::words_of(*packed) * 4; ++i) ASSERT_EQ(codes[i], 0);
        }
      }
    }
}

TEST(Quantize, ABfloat16InputIsRoundedAndAnOddOneFilledUp) {
  Machine machine(1);
  Random random(4);
  for (int64_t k : {1, 15, 16, 17, 100}) {
    StoredMatrix weight(3, k, DType::kBF16, random);
    auto packed = weight.pack(machine.stream);
    Matrix x(3, k);
    random.fill(x);
    for (Isa isa : machine_isas()) {
      WithIsa with(isa);
      const Input input(*packed, x, machine.stream);
      for (int64_t t = 0; t < 3; ++t) {
        const auto* halves = reinterpret_cast<const uint16_t*>(input.words(t));
        for (int64_t i = 0; i < k; ++i) ASSERT_EQ(halves[i], float_to_bf16(x.row(t)[i])) << isa_name(isa);
        ASSERT_TRUE(k % 2 == 0 || halves[k] == 0);
      }
    }
  }
}

// Channels 30 times as large whose weights are 30 times as small: the same product, and nearly the same
// codes.
TEST(Quantize, OutliersOfTheInputsCostNothing) {
  Machine machine(2);
  Random random(5);
  constexpr int64_t kN = 96, kK = 512, kRows = 16;
  for (const WeightFormat& format : kIntegers) {
    SCOPED_TRACE(format_name(format));
    StoredMatrix weight(kN, kK, DType::kF32, random);
    Matrix x(kRows, kK), exact(kRows, kN), plain(kRows, kN), planted(kRows, kN);
    random.fill(x);
    for (int64_t t = 0; t < kRows; ++t)
      for (int64_t j = 0; j < kN; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < kK; ++i)
          sum += static_cast<double>(x.row(t)[i]) * static_cast<double>(weight.values.row(j)[i]);
        exact.row(t)[j] = static_cast<float>(sum);
      }
    auto multiply = [&](Matrix& y) {
      auto packed = weight.pack(format, machine.stream);
      matmul(y.tensor(), Input(*packed, x, machine.stream).loose(), *packed, {}, Epilogue::kStore,
             machine.stream);
    };
    multiply(plain);
    for (int64_t channel = 0; channel < 8; ++channel) {
      const int64_t i = channel * 61 + 3;
      for (int64_t j = 0; j < kN; ++j) weight.values.row(j)[i] /= 30;
      for (int64_t t = 0; t < kRows; ++t) x.row(t)[i] *= 30;
    }
    weight.store();
    multiply(planted);
    const double error = relative_error(plain, exact);
    EXPECT_LT(error, format.scheme == WeightScheme::kInt8 ? 0.015 : 0.12);
    EXPECT_LT(relative_error(planted, exact), 1.1 * error);
    EXPECT_LT(relative_error(planted, plain), 0.3 * error) << "nearly the same codes";
  }
}

TEST(Quantize, ColumnsOfNothingStayNothing) {
  Machine machine(1);
  Random random(6);
  for (const WeightFormat& format : kIntegers)
    for (bool everything : {false, true}) {
      StoredMatrix weight(10, 64, DType::kF32, random);
      for (int64_t j = 0; j < 10; ++j)
        for (int64_t i = 0; i < 64; ++i)
          if (everything || i % 3 == 0) weight.values.row(j)[i] = 0;
      weight.store();
      auto packed = weight.pack(format, machine.stream);
      Matrix x(2, 64), y(2, 10), found(10, 64);
      random.fill(x);
      matmul(y.tensor(), Input(*packed, x, machine.stream).loose(), *packed, {}, Epilogue::kStore,
             machine.stream);
      unpack(found, *packed);
      for (int64_t j = 0; j < 10; ++j) {
        EXPECT_TRUE(std::isfinite(y.row(0)[j]));
        EXPECT_TRUE(!everything || y.row(1)[j] == 0);
        for (int64_t i = 0; i < 64; i += 3) EXPECT_NEAR(found.row(j)[i], 0, 1e-3);
      }
    }
}

// The room that a step's activations are planned with is enough for every weight.
TEST(Quantize, EveryInputFitsTheRoomForAnyOfThem) {
  Machine machine(1);
  Random random(7);
  for (const WeightFormat& format : kFormats)
    for (int64_t k : {1, 31, 32, 33, 128, 129, 1000, 4095}) {
      StoredMatrix weight(1, k, DType::kF32, random);
      auto packed = weight.pack(format, machine.stream);
      for (int64_t rows : {1, 2, 15, 16, 17, 1000})
        EXPECT_LE(input_bytes(*packed, rows), max_input_bytes(k, rows, cpu_ops()))
            << format_name(format) << ' ' << k << ' ' << rows;
    }
}

}  // namespace
}  // namespace pagoda
