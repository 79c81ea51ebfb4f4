#include "ops/matmul.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/ops/packed.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

// A result of either dtype, with canaries between its rows and a page behind it that no write may reach.
class Output {
 public:
  Output(int64_t rows, int64_t columns, DType dtype)
      : rows_(rows),
        columns_(columns),
        dtype_(dtype),
        floats_(rows, columns, 3),
        halves_(rows * stride(), kGap) {}
  ~Output() {
    for (int64_t t = 0; t + 1 < rows_; ++t)
      for (int64_t j = columns_; j < stride(); ++j)
        EXPECT_EQ(halves_[t * stride() + j], kGap) << "written between rows";
  }
  Tensor tensor() {
    if (dtype_ == DType::kF32) return floats_.tensor();
    Tensor t = Tensor::matrix(halves_.data(), DType::kBF16, rows_, columns_);
    t.row_stride = stride();
    return t;
  }
  float at(int64_t t, int64_t j) {
    return dtype_ == DType::kF32 ? floats_.row(t)[j] : bf16_to_float(halves_[t * stride() + j]);
  }
  float* row(int64_t t) { return floats_.row(t); }

 private:
  static constexpr uint16_t kGap = 0xABCD;
  int64_t stride() const { return columns_ + 5; }
  int64_t rows_, columns_;
  DType dtype_;
  Matrix floats_;
  Guarded<uint16_t> halves_;
};

uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

float silu_of(float x) {
  float e = -x;
  cpu::kernels_of(Isa::kScalar).rows.exp(&e, &e, 1);  // the one exponential of all kernels
  return x / (1.0f + e);
}

float gelu_of(float x) {
  float e = std::fma(x * x * x, 0.044715f, x) * (-2 * 0.797884560802865f);
  cpu::kernels_of(Isa::kScalar).rows.exp(&e, &e, 1);
  return x / (1.0f + e);
}

struct Shape {
  int64_t m, n, k;
};
std::string describe(const WeightFormat& format, const Shape& shape) {
  return format_name(format) + " m " + std::to_string(shape.m) + " n " + std::to_string(shape.n) + " k " +
         std::to_string(shape.k);
}

// One and many tokens, primes, tails of panels (64 outputs, 16 lanes), of row tiles (up to 6), of a pair, a
// quad and a group of inputs; sums parked between two passes over k (1024 words: 1024, 2048 or 4096 inputs);
// more rows than go through the panels at once (512).
const Shape kShapes[] = {{1, 1, 1},     {1, 16, 16},    {2, 17, 3},    {3, 64, 31},    {4, 65, 64},
                         {5, 127, 40},  {6, 128, 7},    {8, 129, 129}, {9, 80, 128},   {13, 200, 33},
                         {1, 331, 161}, {70, 66, 259},  {7, 70, 2053}, {12, 33, 4103}, {1, 40, 4103},
                         {530, 35, 37}, {11, 48, 4224}, {10, 3, 97}};

struct Case {
  Epilogue epilogue;
  DType result;
  bool has_bias;
};
constexpr Case kCases[] = {{Epilogue::kStore, DType::kF32, false}, {Epilogue::kStore, DType::kF32, true},
                           {Epilogue::kStore, DType::kBF16, true}, {Epilogue::kStore, DType::kBF16, false},
                           {Epilogue::kAdd, DType::kF32, false},   {Epilogue::kAdd, DType::kF32, true}};
constexpr Case kGatedCases[] = {
    {Epilogue::kSiluMul, DType::kF32, false},  {Epilogue::kSiluMul, DType::kF32, true},
    {Epilogue::kSiluMul, DType::kBF16, false}, {Epilogue::kSiluMul, DType::kBF16, true},
    {Epilogue::kGeluMul, DType::kF32, true},   {Epilogue::kGeluMul, DType::kBF16, false}};

// A product and what it should be, for one weight and input; the products themselves are computed once.
class Product {
 public:
  Product(const PackedWeight& weight, const Shape& shape, const Input& input, Random& random,
          ComputeStream& stream)
      : weight_(weight),
        shape_(shape),
        input_(input),
        bias_(1, weight.n()),
        before_(shape.m, weight.n()),
        products_(shape.m, weight.n()) {
    random.fill(bias_);
    random.fill(before_);
    packed_bias_ = pack_bias(weight, {bias_.row(0), static_cast<std::size_t>(weight.n())}, stream);
    const Panels panels(weight);
    for (int64_t t = 0; t < shape.m; ++t)
      for (int64_t j = 0; j < weight.n(); ++j) products_.row(t)[j] = panels.product(j, input, t);
  }
  const Matrix& products() const { return products_; }

  void check(const Case& c, const MatmulInput& x, ComputeStream& stream) {
    const int64_t columns = is_gated(c.epilogue) ? weight_.n() / 2 : weight_.n();
    Output y(shape_.m, columns, c.result);
    if (c.epilogue == Epilogue::kAdd)
      for (int64_t t = 0; t < shape_.m; ++t) std::copy_n(before_.row(t), columns, y.row(t));
    matmul(y.tensor(), x, weight_, c.has_bias ? packed_bias_.span<const float>() : DeviceSpan<const float>{},
           c.epilogue, stream);
    for (int64_t t = 0; t < shape_.m; ++t)
      for (int64_t j = 0; j < columns; ++j)
        ASSERT_EQ(bits_of(y.at(t, j)), bits_of(expected(c, t, j)))
            << y.at(t, j) << " is not " << expected(c, t, j) << " at " << t << ',' << j << ", epilogue "
            << static_cast<int>(c.epilogue) << ' ' << dtype_name(c.result) << (c.has_bias ? " bias" : "");
  }

 private:
  float sum(const Case& c, int64_t t, int64_t j) {
    return c.has_bias ? products_.row(t)[j] + bias_.row(0)[j] : products_.row(t)[j];
  }
  float expected(const Case& c, int64_t t, int64_t j) {
    switch (c.epilogue) {
      case Epilogue::kStore:
        return rounded_to(c.result, sum(c, t, j));
      case Epilogue::kAdd:
        return before_.row(t)[j] + sum(c, t, j);
      case Epilogue::kSiluMul:
        return rounded_to(c.result, silu_of(sum(c, t, j)) * sum(c, t, j + weight_.n() / 2));
      case Epilogue::kGeluMul:
        return rounded_to(c.result, gelu_of(sum(c, t, j)) * sum(c, t, j + weight_.n() / 2));
    }
    return 0;
  }

  const PackedWeight& weight_;
  Shape shape_;
  const Input& input_;
  Matrix bias_, before_, products_;
  DeviceBuffer packed_bias_;
};

class Matmul : public ::testing::TestWithParam<WeightFormat> {};
std::string parameter_name(const ::testing::TestParamInfo<WeightFormat>& info) {
  std::string name = format_name(info.param);
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
}
INSTANTIATE_TEST_SUITE_P(Formats, Matmul, ::testing::ValuesIn(kFormats), parameter_name);

TEST_P(Matmul, EveryInstructionSetGivesThePromisedSum) {
  Machine machine(2);
  Random random(1);
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(describe(GetParam(), shape));
    StoredMatrix weight(shape.n, shape.k, stored_dtype(GetParam()), random);
    auto packed = weight.pack(GetParam(), machine.stream);
    Matrix x(shape.m, shape.k, 3);
    random.fill(x);
    const Input input(*packed, x, machine.stream);
    Product product(*packed, shape, input, random, machine.stream);
    for (Isa isa : machine_isas()) {
      SCOPED_TRACE(isa_name(isa));
      WithIsa with(isa);
      for (const Case& c : kCases) product.check(c, input.tight(), machine.stream);
      product.check(kCases[1], input.loose(), machine.stream);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(Matmul, EveryInstructionSetMultipliesByTheGate) {
  Machine machine(2);
  Random random(2);
  for (Shape shape : kShapes) {
    SCOPED_TRACE(describe(GetParam(), shape));
    StoredMatrix gate(shape.n, shape.k, stored_dtype(GetParam()), random, 0.3f),
        up(shape.n, shape.k, stored_dtype(GetParam()), random);
    const Weight parts[] = {gate.tensor(), up.tensor()};
    auto packed = pack_weight(parts, GetParam(), true, machine.stream);
    ASSERT_TRUE(packed.ok());
    ASSERT_EQ((*packed)->n(), 2 * shape.n);
    Matrix x(shape.m, shape.k);
    random.fill(x);
    const Input input(**packed, x, machine.stream);
    Product product(**packed, shape, input, random, machine.stream);
    for (Isa isa : machine_isas()) {
      SCOPED_TRACE(isa_name(isa));
      WithIsa with(isa);
      for (const Case& c : kGatedCases) product.check(c, input.tight(), machine.stream);
      if (HasFatalFailure()) return;
    }
  }
}

// How far the product may lie from that of the weights and inputs as they were given.
double relative_bound(const WeightFormat& format) {
  switch (format.scheme) {
    case WeightScheme::kF32:
    case WeightScheme::kF16:
      return 2e-6;
    case WeightScheme::kBF16:
      return 3e-3;  // x rounded to 8 bits: 2^-9 / sqrt(3) each
    case WeightScheme::kInt8:
      return 1.3e-2;  // both sides: max / 127 / sqrt(12) for normal numbers, whose max is near 3.5
    case WeightScheme::kInt4:
      return format.group_columns == 128 ? 0.115 : 0.095;
  }
  return 0;
}

TEST_P(Matmul, IsNearTheProductOfTheGivenNumbers) {
  Machine machine(2);
  Random random(3);
  for (const Shape& shape : {Shape{20, 100, 1000}, Shape{7, 130, 4100}}) {
    StoredMatrix weight(shape.n, shape.k, stored_dtype(GetParam()), random);
    auto packed = weight.pack(GetParam(), machine.stream);
    Matrix x(shape.m, shape.k), y(shape.m, shape.n);
    random.fill(x);
    const Input input(*packed, x, machine.stream);
    matmul(y.tensor(), input.loose(), *packed, {}, Epilogue::kStore, machine.stream);
    double miss = 0, size = 0;
    for (int64_t t = 0; t < shape.m; ++t)
      for (int64_t j = 0; j < shape.n; ++j) {
        double exact = 0;
        for (int64_t i = 0; i < shape.k; ++i)
          exact += static_cast<double>(x.row(t)[i]) * static_cast<double>(weight.values.row(j)[i]);
        miss += (static_cast<double>(y.row(t)[j]) - exact) * (static_cast<double>(y.row(t)[j]) - exact);
        size += exact * exact;
      }
    EXPECT_LT(std::sqrt(miss / size), relative_bound(GetParam())) << describe(GetParam(), shape);
    RecordProperty("relative_error_k" + std::to_string(shape.k), std::to_string(std::sqrt(miss / size)));
  }
}

TEST_P(Matmul, ARowIsTheSameAloneInABatchAndOnAnyNumberOfThreads) {
  Random random(4);
  Machine one(1);
  constexpr int64_t kN = 1100, kK = 4200, kRows = 530;  // enough work for three threads even with one row
  StoredMatrix weight(kN, kK, stored_dtype(GetParam()), random);
  auto packed = weight.pack(GetParam(), one.stream);
  Matrix x(kRows, kK), all(kRows, kN);
  random.fill(x);
  matmul(all.tensor(), Input(*packed, x, one.stream).loose(), *packed, {}, Epilogue::kStore, one.stream);
  for (int threads : {1, 2, 3}) {
    Machine machine(threads);
    auto packed_here = weight.pack(GetParam(), machine.stream);
    for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 12, 13, 61}) {
      Matrix some(rows, kK), y(rows, kN);
      const int64_t first = kRows - rows;
      for (int64_t t = 0; t < rows; ++t) std::copy_n(x.row(first + t), kK, some.row(t));
      matmul(y.tensor(), Input(*packed_here, some, machine.stream).tight(), *packed_here, {},
             Epilogue::kStore, machine.stream);
      for (int64_t t = 0; t < rows; ++t)
        ASSERT_TRUE(same_bits(y.row(t), all.row(first + t), kN))
            << threads << " threads, " << rows << " rows";
    }
  }
}

TEST_P(Matmul, ABadRowIsBadAloneAndLeavesItsNeighbours) {
  Machine machine(2);
  Random random(5);
  constexpr int64_t kN = 70, kK = 259, kRows = 9;
  StoredMatrix weight(kN, kK, stored_dtype(GetParam()), random);
  auto packed = weight.pack(GetParam(), machine.stream);
  Matrix x(kRows, kK), clean(kRows, kN);
  random.fill(x);
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    matmul(clean.tensor(), Input(*packed, x, machine.stream).tight(), *packed, {}, Epilogue::kStore,
           machine.stream);
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                      -std::numeric_limits<float>::infinity()})
      for (int64_t place : {int64_t{0}, int64_t{17}, kK - 1}) {
        Matrix spoilt(kRows, kK), y(kRows, kN);
        for (int64_t t = 0; t < kRows; ++t) std::copy_n(x.row(t), kK, spoilt.row(t));
        spoilt.row(4)[place] = bad;
        spoilt.row(4)[(place + 5) % kK] = -bad;  // infinities of both signs
        matmul(y.tensor(), Input(*packed, spoilt, machine.stream).tight(), *packed, {}, Epilogue::kStore,
               machine.stream);
        for (int64_t t = 0; t < kRows; ++t)
          for (int64_t j = 0; j < kN; ++j)
            if (t == 4)
              ASSERT_TRUE(std::isnan(y.row(t)[j]) ||
                          (std::isinf(bad) && !is_integer(GetParam()) && std::isinf(y.row(t)[j])))
                  << isa_name(isa) << ' ' << bad << " at " << place;
            else
              ASSERT_EQ(y.row(t)[j], clean.row(t)[j]) << isa_name(isa) << ' ' << bad << " at " << place;
      }
  }
}

TEST(MatmulParts, ArePackedOneUnderTheOther) {
  Machine machine(2);
  Random random(6);
  for (const WeightFormat& format : {kF32Format, kF16Format, kBF16Format}) {
    const DType dtype = stored_dtype(format);
    StoredMatrix a(5, 37, dtype, random), b(118, 37, dtype, random), c(1, 37, dtype, random);
    const Weight parts[] = {a.tensor(), b.tensor(), c.tensor()};
    auto fused = pack_weight(parts, format, false, machine.stream);
    ASSERT_TRUE(fused.ok());
    EXPECT_EQ((*fused)->n(), 124);
    EXPECT_EQ((*fused)->k(), 37);
    Matrix x(3, 37), y(3, 124);
    random.fill(x);
    matmul(y.tensor(), Input(**fused, x, machine.stream).tight(), **fused, {}, Epilogue::kStore,
           machine.stream);
    int64_t column = 0;
    for (StoredMatrix* part : {&a, &b, &c}) {
      auto packed = part->pack(format, machine.stream);
      Matrix alone(3, part->n);
      matmul(alone.tensor(), Input(*packed, x, machine.stream).tight(), *packed, {}, Epilogue::kStore,
             machine.stream);
      for (int64_t t = 0; t < 3; ++t) EXPECT_TRUE(same_bits(alone.row(t), y.row(t) + column, part->n));
      column += part->n;
    }
  }
}

}  // namespace
}  // namespace pagoda
