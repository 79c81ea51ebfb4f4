#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/cpu/run.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rope.h"
#include "tests/ops/packed.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

const int64_t kWidths[] = {1, 2, 15, 16, 17, 31, 48, 97, 160, 2048};

// A matrix as an input of float32 products: what an op writes there can be read as it is.
MatmulInput as_input(Matrix& matrix) {
  MatmulInput input{matrix.rows(), matrix.columns(), {WeightScheme::kF32}};
  cpu::RowLayout layout;
  layout.data = reinterpret_cast<std::byte*>(matrix.row(0));
  layout.row_bytes = matrix.tensor().row_stride * 4;
  cpu::set_layout(&input, layout);
  return input;
}

TEST(Isa, SelectionKeepsToWhatTheMachineHas) {
  const Isa before = selected_isa();
  EXPECT_EQ(before, best_isa());
  for (Isa isa : kIsas) {
    Status status = select_isa(isa);
    EXPECT_EQ(status.ok(), isa <= best_isa()) << isa_name(isa);
    EXPECT_EQ(selected_isa(), isa <= best_isa() ? isa : best_isa());
  }
  ASSERT_TRUE(select_isa(before).ok());
}

TEST(RmsNorm, EveryVariantAgainstDouble) {
  Machine machine(2);
  Random random(1);
  for (int64_t width : kWidths) {
    Matrix x(3, width, 2), weight(1, width), scalar(3, width);
    random.fill(x);
    random.fill(weight);
    for (Isa isa : machine_isas()) {
      WithIsa with(isa);
      Matrix y(3, width, 7);
      rms_norm(as_input(y), x.tensor(), weight.span(0), 1e-5f, machine.stream);
      for (int64_t t = 0; t < 3; ++t) {
        double squares = 0;
        for (int64_t i = 0; i < width; ++i) squares += static_cast<double>(x.row(t)[i]) * x.row(t)[i];
        const double factor = 1 / std::sqrt(squares / static_cast<double>(width) + 1e-5);
        for (int64_t i = 0; i < width; ++i) {
          const double exact = x.row(t)[i] * factor * weight.row(0)[i];
          // width / 16 + 4 roundings in the sum of positive terms, halved by the root; five more after it.
          const double bound = (static_cast<double>(width) / 32 + 8) * 0x1p-24 * std::fabs(exact) + 1e-38;
          ASSERT_NEAR(y.row(t)[i], exact, bound) << isa_name(isa) << " width " << width;
        }
      }
      if (isa == Isa::kScalar)
        for (int64_t t = 0; t < 3; ++t) std::copy_n(y.row(t), width, scalar.row(t));
      expect_same(y, scalar, isa_name(isa));
      Matrix in_place(3, width);
      for (int64_t t = 0; t < 3; ++t) std::copy_n(x.row(t), width, in_place.row(t));
      rms_norm(as_input(in_place), in_place.tensor(), weight.span(0), 1e-5f, machine.stream);
      expect_same(in_place, scalar, "in place");
    }
  }
}

// What a product reads of a norm is what it would read of the norm's float32 rows.
TEST(RmsNorm, WritesEveryFormOfInputAsItWouldBeConverted) {
  Random random(7);
  for (const WeightFormat& format : kFormats)
    for (int64_t width : {1, 31, 100, 1024})
      for (int threads : {1, 2}) {
        Machine machine(threads);
        StoredMatrix weight(1, width, DType::kF32, random);
        auto packed = weight.pack(format, machine.stream);
        Matrix x(200, width), scale(1, width), y(200, width);
        random.fill(x);
        random.fill(scale);
        rms_norm(as_input(y), x.tensor(), scale.span(0), 1e-5f, machine.stream);
        const Input converted(*packed, y, machine.stream);
        const DeviceBuffer memory(cpu_memory(), input_bytes(*packed, 200));
        const MatmulInput input = make_input(*packed, memory.span<std::byte>(), 200);
        rms_norm(input, x.tensor(), scale.span(0), 1e-5f, machine.stream);
        const cpu::RowLayout layout = cpu::layout_of(input);
        const auto words = static_cast<std::size_t>(Input::words_of(*packed));
        for (int64_t t = 0; t < 200; ++t) {
          ASSERT_EQ(std::memcmp(layout.data + t * layout.row_bytes, converted.words(t), words * 4), 0)
              << format_name(format) << " width " << width << " row " << t;
          ASSERT_TRUE(layout.scale == nullptr || layout.scale[t] == converted.scale(t));
        }
      }
}

// Distance in units in the last place.
int64_t ulps(float a, float b) {
  auto ordered = [](float x) {
    int32_t bits = std::bit_cast<int32_t>(x);
    return static_cast<int64_t>(bits < 0 ? std::numeric_limits<int32_t>::min() - bits : bits);
  };
  return std::abs(ordered(a) - ordered(b));
}

TEST(Exp, WithinOneUlpAndTheSameOnEveryInstructionSet) {
  std::vector<float> points = {0.0f,   -0.0f,  1e-30f, -1e-30f, 88.72f,  88.73f, 200.0f,
                               -87.3f, -87.4f, -95.0f, -103.9f, -104.1f, -3e38f};
  for (float x = -105; x < 90; x += 0.00737f) points.push_back(x);
  const auto count = static_cast<int64_t>(points.size());
  Guarded<float> x(count), scalar(count);
  std::copy(points.begin(), points.end(), x.data());
  for (Isa isa : machine_isas()) {
    Guarded<float> y(count);
    cpu::kernels_of(isa).rows.exp(y.data(), x.data(), count);
    if (isa == Isa::kScalar) std::copy_n(y.data(), count, scalar.data());
    for (int64_t i = 0; i < count; ++i) {
      const auto exact = static_cast<float>(std::exp(static_cast<double>(x[i])));
      ASSERT_LE(ulps(y[i], exact), 1)
          << isa_name(isa) << " exp(" << x[i] << ") = " << y[i] << " for " << exact;
    }
    EXPECT_TRUE(same_bits(y.data(), scalar.data(), count)) << isa_name(isa);
    float special[3] = {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), NAN};
    cpu::kernels_of(isa).rows.exp(special, special, 3);
    EXPECT_EQ(special[0], std::numeric_limits<float>::infinity());
    EXPECT_EQ(special[1], 0.0f);
    EXPECT_TRUE(std::isnan(special[2]));
    float one[2] = {0.0f, 0.0f};
    cpu::kernels_of(isa).rows.exp(one, one, 2);
    EXPECT_EQ(one[0], 1.0f);
  }
}

double silu(double x) {
  return x / (1 + std::exp(-x));
}
double gelu_tanh(double x) {
  return x / (1 + std::exp(-2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

class GatedProduct : public ::testing::TestWithParam<Epilogue> {};
INSTANTIATE_TEST_SUITE_P(Activations, GatedProduct,
                         ::testing::Values(Epilogue::kSiluMul, Epilogue::kGeluMul));

TEST_P(GatedProduct, EveryInstructionSetAgainstDouble) {
  const auto activation = GetParam() == Epilogue::kSiluMul ? silu : gelu_tanh;
  Machine machine(2);
  Random random(2);
  for (int64_t width : kWidths) {
    // One input of 1: the products are the weights themselves.
    Matrix gate(width, 1), up(width, 1), one(1, 1), scalar(1, width);
    random.fill(gate, 4);
    random.fill(up);
    gate.row(0)[0] = -200;  // exp overflows, the product is zero
    one.row(0)[0] = 1;
    auto bytes = [&](Matrix& m) {
      return std::span(reinterpret_cast<const std::byte*>(m.row(0)), static_cast<std::size_t>(width) * 4);
    };
    const Weight parts[] = {plain_weight("gate", DType::kF32, width, 1, bytes(gate)),
                            plain_weight("up", DType::kF32, width, 1, bytes(up))};
    auto weight = pack_weight(parts, {WeightScheme::kF32}, true, machine.stream);
    ASSERT_TRUE(weight.ok());
    for (Isa isa : machine_isas()) {
      WithIsa with(isa);
      Matrix y(1, width);
      matmul(y.tensor(), as_input(one), **weight, {}, GetParam(), machine.stream);
      for (int64_t i = 0; i < width; ++i) {
        const double x = gate.row(i)[0], exact = activation(x) * up.row(i)[0];
        // exp (1 ulp = 2 units of 2^-24), sum, quotient, product; of GELU the exponent's own roundings, too,
        // which count by its size where e^-2z does.
        const double exponent =
            GetParam() == Epilogue::kSiluMul ? 0 : 2 * (std::fabs(x) + 0.05 * std::fabs(x * x * x));
        const double bound = (6 + 4 * exponent) * 0x1p-24 * std::fabs(exact) + 1e-37;
        ASSERT_NEAR(y.row(0)[i], exact, bound) << isa_name(isa) << ' ' << x;
      }
      if (isa == Isa::kScalar) std::copy_n(y.row(0), width, scalar.row(0));
      expect_same(y, scalar, isa_name(isa));
    }
  }
}

std::vector<double> frequencies_of(int32_t rotary_dim) {
  std::vector<double> frequencies;
  for (int i = 0; i < rotary_dim / 2; ++i) frequencies.push_back(std::pow(10000.0, -2.0 * i / rotary_dim));
  return frequencies;
}

TEST(SoftCap, EveryVariantAgainstDouble) {
  Machine machine(2);
  Random random(7);
  for (int64_t width : kWidths) {
    Matrix x(3, width, 2), scalar(3, width, 2);
    random.fill(x, 40);
    x.row(0)[0] = 1e30f;
    x.row(1)[0] = -INFINITY;
    x.row(2)[0] = NAN;
    for (Isa isa : machine_isas()) {
      WithIsa with(isa);
      Matrix y(3, width, 2);
      for (int64_t t = 0; t < 3; ++t) std::copy_n(x.row(t), width, y.row(t));
      soft_cap(y.tensor(), 30, machine.stream);
      EXPECT_TRUE(std::isnan(y.row(2)[0]));
      y.row(2)[0] = 0;
      for (int64_t t = 0; t < 3; ++t)
        for (int64_t i = t == 2 ? 1 : 0; i < width; ++i)
          ASSERT_NEAR(y.row(t)[i], 30 * std::tanh(x.row(t)[i] / 30.0), 1e-5) << isa_name(isa);
      if (isa == Isa::kScalar)
        for (int64_t t = 0; t < 3; ++t) std::copy_n(y.row(t), width, scalar.row(t));
      expect_same(y, scalar, isa_name(isa));
    }
  }
}

TEST(AddScaled, IsOneFusedMultiplyAdd) {
  Machine machine(2);
  Random random(9);
  for (int64_t width : kWidths) {
    Matrix x(3, width, 1), y(3, width, 2);
    random.fill(x);
    random.fill(y);
    for (Isa isa : machine_isas()) {
      WithIsa with(isa);
      Matrix sum(3, width);
      for (int64_t t = 0; t < 3; ++t) std::copy_n(y.row(t), width, sum.row(t));
      add_scaled(sum.tensor(), x.tensor(), 0.22f, machine.stream);
      for (int64_t t = 0; t < 3; ++t)
        for (int64_t i = 0; i < width; ++i)
          ASSERT_EQ(sum.row(t)[i], std::fma(x.row(t)[i], 0.22f, y.row(t)[i])) << isa_name(isa);
    }
  }
}

// Normed heads and sums are what a norm of each head by itself gives, in every bit.
TEST(RmsNorm, OfHeadsAndAddedToARow) {
  Machine machine(2);
  Random random(8);
  for (int32_t head_dim : {2, 15, 16, 64, 100}) {
    const int32_t heads = 3;
    Matrix x(4, heads * head_dim + 5), weight(1, head_dim), expected(1, head_dim);
    random.fill(x);
    random.fill(weight);
    for (Isa isa : machine_isas()) {
      WithIsa with(isa);
      Matrix y(4, heads * head_dim + 5);
      for (int64_t t = 0; t < 4; ++t) std::copy_n(x.row(t), y.columns(), y.row(t));
      rms_norm_heads(y.tensor(), heads, head_dim, weight.span(0), 1e-6f, machine.stream);
      for (int64_t t = 0; t < 4; ++t) {
        EXPECT_TRUE(same_bits(y.row(t) + heads * head_dim, x.row(t) + heads * head_dim, 5));
        for (int32_t h = 0; h < heads; ++h) {
          Matrix head(1, head_dim);
          std::copy_n(x.row(t) + h * head_dim, head_dim, head.row(0));
          rms_norm(as_input(expected), head.tensor(), weight.span(0), 1e-6f, machine.stream);
          ASSERT_TRUE(same_bits(y.row(t) + h * head_dim, expected.row(0), head_dim)) << isa_name(isa);
          if (h > 0) continue;
          Matrix added(1, head_dim);
          std::copy_n(x.row(t) + 1, head_dim, added.row(0));
          rms_norm_add(added.tensor(), head.tensor(), weight.span(0), 1e-6f, machine.stream);
          for (int32_t i = 0; i < head_dim; ++i)
            ASSERT_EQ(added.row(0)[i], x.row(t)[i + 1] + expected.row(0)[i]) << isa_name(isa);
        }
      }
    }
  }
}

TEST(Rope, RotatesPairsOfHalves) {
  Machine machine(2);
  Random random(3);
  for (int32_t head_dim : {2, 8, 30, 64, 128})
    for (int32_t rotary_dim : {head_dim, (head_dim / 4) * 2}) {
      if (rotary_dim == 0) continue;
      RopeTable table(frequencies_of(rotary_dim), 1, 700, cpu_memory());
      const std::vector<int32_t> positions = {0, 1, 77, 699, 5};
      const int64_t heads = 3, half = rotary_dim / 2;
      Matrix x(5, heads * head_dim + 4);
      random.fill(x);
      for (Isa isa : machine_isas()) {
        WithIsa with(isa);
        Matrix y(5, heads * head_dim + 4, 3);
        for (int64_t t = 0; t < 5; ++t) std::copy_n(x.row(t), y.columns(), y.row(t));
        rope(y.tensor(), span_of(positions), 3, head_dim, table, machine.stream);
        for (int64_t t = 0; t < 5; ++t)
          for (int64_t c = 0; c < y.columns(); ++c) {
            const int64_t d = c % head_dim, i = d % half;
            double exact = x.row(t)[c], size = 0;
            if (c < heads * head_dim && d < rotary_dim) {
              const double angle = positions[static_cast<std::size_t>(t)] *
                                   std::pow(10000.0, -2.0 * static_cast<double>(i) / rotary_dim);
              const double a = x.row(t)[c - d + i], b = x.row(t)[c - d + i + half];
              exact = d < half ? a * std::cos(angle) - b * std::sin(angle)
                               : b * std::cos(angle) + a * std::sin(angle);
              size = std::fabs(a) + std::fabs(b);
            }
            // Rounded cos and sin, two products, one sum.
            ASSERT_NEAR(y.row(t)[c], exact, 3 * 0x1p-24 * size) << isa_name(isa) << " head_dim " << head_dim;
          }
      }
    }
}

TEST(Rope, MagnitudeMultipliesTheTable) {
  const std::vector<double> frequencies = frequencies_of(64);
  RopeTable plain(frequencies, 1, 9, cpu_memory()), larger(frequencies, 1.25, 9, cpu_memory());
  for (int64_t i = 0; i < plain.half(); ++i) {
    EXPECT_EQ(larger.cos().data[7 * plain.half() + i],
              static_cast<float>(1.25 * std::cos(7 * frequencies[static_cast<std::size_t>(i)])));
    EXPECT_NEAR(larger.sin().data[8 * plain.half() + i], 1.25f * plain.sin().data[8 * plain.half() + i],
                1e-6f);
  }
}

TEST(Rows, TheNumberOfThreadsChangesNothing) {
  Random random(6);
  Matrix x(400, 1024), weight(1, 1024);
  random.fill(x);
  random.fill(weight);
  std::vector<int32_t> positions;
  for (int i = 0; i < 400; ++i) positions.push_back(i * 3);
  RopeTable table(frequencies_of(64), 1, 1200, cpu_memory());
  Matrix first_norm(400, 1024);
  for (int threads : {1, 2, 3}) {
    Machine machine(threads);
    Matrix norm(400, 1024);
    rms_norm(as_input(norm), x.tensor(), weight.span(0), 1e-6f, machine.stream);
    rope(norm.tensor(), span_of(positions), 16, 64, table, machine.stream);
    if (threads == 1)
      for (int64_t t = 0; t < 400; ++t) std::copy_n(norm.row(t), 1024, first_norm.row(t));
    expect_same(norm, first_norm, "norm and rope");
    Matrix alone(1, 1024);
    rms_norm(as_input(alone), x.tensor(399, 1), weight.span(0), 1e-6f, machine.stream);
    rope(alone.tensor(), span_of(&positions[399], 1), 16, 64, table, machine.stream);
    EXPECT_TRUE(same_bits(alone.row(0), first_norm.row(399), 1024));
  }
}

}  // namespace
}  // namespace pagoda
