#include "ops/matmul.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/embedding.h"
#include "tests/ops/guarded.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

// A weight at an odd address that ends at an unreadable page, and its values.
struct Weight {
  Weight(int64_t rows, int64_t columns, DType type, Random& random)
      : dtype(type), n(rows), k(columns), values(rows, columns) {
    const auto element = static_cast<int64_t>(dtype_bytes(dtype));
    bytes = std::make_unique<Guarded<std::byte>>(n * k * element + 1);
    for (int64_t i = 0; i < n * k; ++i) {
      float value = rounded_to(dtype, random.normal());
      values.row(i / k)[i % k] = value;
      uint16_t half = dtype == DType::kBF16 ? float_to_bf16(value) : float_to_f16(value);
      const void* from = dtype == DType::kF32 ? static_cast<const void*>(&value) : &half;
      std::memcpy(bytes->data() + i * element, from, static_cast<std::size_t>(element));
    }
  }
  QuantTensor tensor() {
    return {
        "w", QuantScheme::kNone, dtype, n, k, {bytes->data(), static_cast<std::size_t>(bytes->size() - 1)}};
  }
  std::unique_ptr<PackedWeight> pack(Stream& stream) {
    QuantTensor part = tensor();
    return std::move(*pack_weight({&part, 1}, stream));
  }
  DType dtype;
  int64_t n, k;
  Matrix values;
  std::unique_ptr<Guarded<std::byte>> bytes;
};

struct Shape {
  int64_t m, n, k;
};
// One and many tokens, primes, tails of panels (16), of panel groups (64, 128), of row tiles (4, 6), two
// blocks of k (1024).
const Shape kShapes[] = {{1, 1, 1},     {1, 16, 16},  {2, 17, 3},    {3, 64, 31},
                         {4, 65, 64},   {5, 127, 40}, {6, 128, 7},   {7, 129, 5},
                         {13, 200, 33}, {1, 331, 97}, {7, 70, 2053}, {1, 150, 2053}};

TEST(Matmul, EveryVariantAgainstDoubleAndTheFmaChain) {
  Machine machine(2);
  Random random(1);
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (const Shape& shape : kShapes) {
      Weight weight(shape.n, shape.k, dtype, random);
      auto packed = weight.pack(machine.stream);
      Matrix x(shape.m, shape.k, 3), bias(1, shape.n), before(shape.m, shape.n);
      random.fill(x);
      random.fill(bias);
      random.fill(before);
      for (Isa isa : machine_isas())
        for (int options = 0; options < 4; ++options) {
          WithIsa with(isa);
          const bool with_bias = options & 1, accumulate = options & 2;
          Matrix y(shape.m, shape.n, 5);
          for (int64_t t = 0; t < shape.m; ++t) std::copy_n(before.row(t), shape.n, y.row(t));
          matmul(y.tensor(), x.tensor(), *packed, with_bias ? bias.row(0) : nullptr, accumulate,
                 machine.stream);
          for (int64_t t = 0; t < shape.m; ++t)
            for (int64_t j = 0; j < shape.n; ++j) {
              float chain = 0;
              double exact = 0, magnitude = 0;
              for (int64_t i = 0; i < shape.k; ++i) {
                const float a = x.row(t)[i], b = weight.values.row(j)[i];
                chain = std::fma(a, b, chain);
                exact += static_cast<double>(a) * b;
                magnitude += std::fabs(static_cast<double>(a) * b);
              }
              if (with_bias) chain += bias.row(0)[j];
              if (accumulate) chain = before.row(t)[j] + chain;
              const double rest = (with_bias ? bias.row(0)[j] : 0.0) + (accumulate ? before.row(t)[j] : 0.0);
              magnitude += std::fabs(rest) * 2 + 1e-30;
              // k + 2 roundings, each of at most 2^-24 of a partial sum that is at most `magnitude`
              // (Higham, 3.1).
              const double bound = static_cast<double>(shape.k + 2) * 0x1p-24 * 1.01 * magnitude;
              ASSERT_EQ(y.row(t)[j], chain)
                  << isa_name(isa) << ' ' << dtype_name(dtype) << " m " << shape.m << " n " << shape.n
                  << " k " << shape.k << " at " << t << ',' << j;
              ASSERT_NEAR(y.row(t)[j], exact + rest, bound);
            }
        }
    }
}

TEST(Matmul, ARowIsTheSameAloneInABatchAndOnAnyNumberOfThreads) {
  Random random(2);
  Machine one(1);
  Weight weight(1100, 1500, DType::kBF16, random);  // enough work for three threads even with one row
  auto packed = weight.pack(one.stream);
  Matrix x(530, 1500), all(530, 1100);  // more rows than go through the panels at once
  random.fill(x);
  matmul(all.tensor(), x.tensor(), *packed, nullptr, false, one.stream);
  for (int threads : {1, 2, 3}) {
    Machine machine(threads);
    auto packed_here = weight.pack(machine.stream);
    for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 61}) {
      Matrix y(rows, 1100);
      const int64_t first = 530 - rows;
      matmul(y.tensor(), x.tensor(first, rows), *packed_here, nullptr, false, machine.stream);
      for (int64_t t = 0; t < rows; ++t)
        ASSERT_TRUE(same_bits(y.row(t), all.row(first + t), 1100))
            << threads << " threads, " << rows << " rows";
    }
  }
}

TEST(Matmul, PartsArePackedOneUnderTheOther) {
  Machine machine(2);
  Random random(3);
  Weight a(5, 37, DType::kF16, random), b(18, 37, DType::kF16, random), c(1, 37, DType::kF16, random);
  std::vector<QuantTensor> parts = {a.tensor(), b.tensor(), c.tensor()};
  auto fused = pack_weight(parts, machine.stream);
  ASSERT_TRUE(fused.ok());
  EXPECT_EQ((*fused)->n(), 24);
  EXPECT_EQ((*fused)->k(), 37);
  EXPECT_EQ((*fused)->bytes(), 32u * 37 * 2);
  Matrix x(3, 37), y(3, 24);
  random.fill(x);
  matmul(y.tensor(), x.tensor(), **fused, nullptr, false, machine.stream);
  int64_t column = 0;
  for (Weight* part : {&a, &b, &c}) {
    auto packed = part->pack(machine.stream);
    Matrix alone(3, part->n);
    matmul(alone.tensor(), x.tensor(), *packed, nullptr, false, machine.stream);
    for (int64_t t = 0; t < 3; ++t) EXPECT_TRUE(same_bits(alone.row(t), y.row(t) + column, part->n));
    column += part->n;
  }
}

TEST(Matmul, WeightsThatDoNotFitAreRefusedByName) {
  Machine machine(1);
  Random random(4);
  Weight a(4, 8, DType::kF32, random), narrow(4, 7, DType::kF32, random), half(4, 8, DType::kF16, random);
  auto error = [&](std::vector<QuantTensor> parts) {
    auto packed = pack_weight(parts, machine.stream);
    EXPECT_EQ(packed.status().code(), StatusCode::kInvalidArgument);
    return packed.status().message();
  };
  QuantTensor cut = a.tensor(), integers = a.tensor(), empty = a.tensor();
  cut.name = "model.cut";
  cut.data = cut.data.first(100);
  integers.dtype = DType::kI32;
  empty.rows = 0;
  EXPECT_THAT(error({}), ::testing::HasSubstr("no weight"));
  EXPECT_THAT(error({a.tensor(), narrow.tensor()}), ::testing::HasSubstr("F32 [4, 7]"));
  EXPECT_THAT(error({a.tensor(), half.tensor()}), ::testing::HasSubstr("F16 [4, 8]"));
  EXPECT_THAT(error({cut}), ::testing::HasSubstr("model.cut"));
  EXPECT_THAT(error({integers}), ::testing::HasSubstr("I32"));
  EXPECT_THAT(error({empty}), ::testing::HasSubstr("empty"));
  QuantTensor huge = a.tensor();
  huge.rows = huge.columns = int64_t{1} << 40;
  EXPECT_THAT(error({huge}), ::testing::HasSubstr("bytes"));
}

TEST(Embedding, GivesTheRowsOfAPackedTable) {
  Machine machine(3);
  Random random(5);
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (int64_t k : {1, 16, 37, 1003}) {
      Weight weight(50, k, dtype, random);
      auto packed = weight.pack(machine.stream);
      std::vector<int32_t> ids;
      for (int i = 0; i < 130; ++i) ids.push_back(i < 2 ? 49 * i : random.below(50));
      for (Isa isa : machine_isas()) {
        WithIsa with(isa);
        Matrix y(130, k, 1);
        embedding(y.tensor(), ids.data(), *packed, machine.stream);
        for (int64_t t = 0; t < 130; ++t)
          ASSERT_TRUE(same_bits(y.row(t), weight.values.row(ids[static_cast<std::size_t>(t)]), k))
              << isa_name(isa);
      }
    }
}

}  // namespace
}  // namespace pagoda
