#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "ops/matmul.h"
#include "tests/ops/grouped.h"
#include "tests/ops/packed.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

TEST(PackWeight, WeightsThatDoNotFitAreRefusedByName) {
  Machine machine(1);
  Random random(4);
  StoredMatrix a(4, 8, DType::kF32, random), narrow(4, 7, DType::kF32, random);
  auto error = [&](std::vector<Weight> parts, const WeightFormat& format = kF32Format) {
    auto packed = pack_weight(parts, format, false, machine.stream);
    EXPECT_EQ(packed.status().code(), StatusCode::kInvalidArgument);
    return packed.status().message();
  };
  Weight cut = a.tensor(), integers = a.tensor(), empty = a.tensor();
  cut.name = "model.cut";
  cut.data = cut.data.first(100);
  integers.dtype = DType::kI32;
  empty.rows = 0;
  EXPECT_THAT(error({}), HasSubstr("no weight"));
  EXPECT_THAT(error({a.tensor(), narrow.tensor()}), HasSubstr("F32 [4, 7]"));
  EXPECT_THAT(error({cut}), HasSubstr("model.cut"));
  EXPECT_THAT(error({integers}), HasSubstr("I32"));
  EXPECT_THAT(error({empty}), HasSubstr("empty"));
  Weight huge = a.tensor();
  huge.rows = huge.columns = int64_t{1} << 40;
  EXPECT_THAT(error({huge}), HasSubstr("bytes"));
  EXPECT_THAT(error({a.tensor()}, {WeightScheme::kInt4, 64, false}),
              AllOf(HasSubstr("'w'"), HasSubstr("INT4 (group 64)")));
  const int64_t too_many = (1 << 16) + 1;
  StoredMatrix wide(1, too_many, DType::kF16, random);
  EXPECT_THAT(error({wide.tensor()}, kInt8Format), HasSubstr("too many inputs"));
  EXPECT_TRUE(wide.try_pack(kF32Format, machine.stream).ok());

  StoredMatrix short_gate(3, 8, DType::kF32, random);
  const Weight unequal[] = {a.tensor(), short_gate.tensor()};
  EXPECT_THAT(pack_weight(unequal, kF32Format, true, machine.stream).status().message(),
              HasSubstr("in rows"));
}

TEST(PackWeight, NumbersThatAFormatCannotHoldAreRefused) {
  Machine machine(2);
  Random random(5);
  for (const WeightFormat& format : kFormats)
    for (float bad : {kNan, kInf, -kInf, 70000.0f}) {
      StoredMatrix weight(70, 33, DType::kF32, random);
      weight.values.row(69)[32] = bad;
      weight.store();
      const bool refused =
          is_integer(format) ? !std::isfinite(bad) : format.scheme == WeightScheme::kF16 && bad == 70000.0f;
      auto packed = weight.try_pack(format, machine.stream);
      EXPECT_EQ(packed.ok(), !refused) << format_name(format) << ' ' << bad;
      EXPECT_THAT(packed.status().message(), HasSubstr(refused ? "'w'" : ""));
    }
}

// Rows of all parts in order, gates beside what they multiply, zeros where a panel is wider than the weight.
TEST(PackWeight, ExactFormatsHoldTheGivenNumbers) {
  Machine machine(2);
  Random random(6);
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16})
    for (const WeightFormat& format : {kF32Format, kF16Format, kBF16Format})
      for (int64_t k : {1, 2, 37, 100}) {
        StoredMatrix a(70, k, dtype, random), b(70, k, dtype, random);
        const Weight parts[] = {a.tensor(), b.tensor()};
        for (bool gated : {false, true}) {
          auto packed = pack_weight(parts, format, gated, machine.stream);
          ASSERT_TRUE(packed.ok());
          const Panels panels(**packed);
          const DType held = format.scheme == WeightScheme::kF32 ? DType::kF32 : stored_dtype(format);
          for (int64_t row = 0; row < 140; ++row)
            for (int64_t i = 0; i < k; ++i)
              ASSERT_EQ(panels.weight_at(row, i),
                        rounded_to(held, (row < 70 ? a : b).values.row(row % 70)[i]))
                  << format_name(format) << " of " << dtype_name(dtype) << (gated ? " gated" : "") << ' '
                  << row << ',' << i;
          EXPECT_EQ((*packed)->bytes(), packed_bytes((*packed)->header(), cpu_ops()));
          for (int64_t row = 140; row < 192 && !gated; ++row) ASSERT_EQ(panels.weight_at(row, 0), 0);
        }
      }
}

// Parts of different dtypes are packed as if each had been widened to float32 before.
TEST(PackWeight, PartsMayDifferInDtype) {
  Machine machine(2);
  Random random(9);
  for (const WeightFormat& format : kFormats)
    for (DType first : {DType::kF32, DType::kBF16, DType::kF16})
      for (DType second : {DType::kF32, DType::kBF16, DType::kF16}) {
        StoredMatrix a(70, 132, first, random), b(70, 132, second, random);
        std::vector<double> numbers(70 * 132);  // b's, as float64
        for (std::size_t i = 0; i < numbers.size(); ++i)
          numbers[i] = static_cast<double>(b.values.row(static_cast<int64_t>(i / 132))[i % 132]);
        Weight doubles = b.tensor();
        doubles.dtype = DType::kF64;
        doubles.row_stride *= 8 / static_cast<int64_t>(dtype_bytes(second));
        doubles.data = std::as_bytes(std::span(numbers));
        auto bytes = [&](std::vector<Weight> parts, bool gated) {
          auto packed = pack_weight(parts, format, gated, machine.stream).value();
          const auto payload = packed->payload();
          return std::vector<std::byte>(payload.data, payload.data + payload.size);
        };
        for (bool gated : {false, true}) {
          const auto mixed = bytes({a.tensor(), b.tensor()}, gated);
          EXPECT_EQ(mixed, bytes({a.tensor(), doubles}, gated)) << format_name(format);
          StoredMatrix wide_a(70, 132, DType::kF32, random), wide_b(70, 132, DType::kF32, random);
          for (int64_t i = 0; i < 70 * 132; ++i) {
            wide_a.values.row(i / 132)[i % 132] = a.values.row(i / 132)[i % 132];
            wide_b.values.row(i / 132)[i % 132] = b.values.row(i / 132)[i % 132];
          }
          wide_a.store(), wide_b.store();
          EXPECT_EQ(mixed, bytes({wide_a.tensor(), wide_b.tensor()}, gated)) << format_name(format);
        }
      }
}

// Codes count as the float32 numbers that they stand for, beside parts of plain numbers and in slices.
TEST(PackWeight, PartsMayBeCodesOfAnyGrouping) {
  Machine machine(2);
  Random random(10);
  for (const WeightFormat& format : kFormats)
    for (const GroupedCase& c : kGroupedCases) {
      const GroupedMatrix codes(140, 132, c.codes, c.quant, c.scales, random);
      StoredMatrix wide(70, 132, DType::kF32, random), plain(70, 132, DType::kBF16, random);
      for (int64_t i = 0; i < 70 * 132; ++i)
        wide.values.row(i / 132)[i % 132] = codes.at(70 + i / 132, i % 132);
      wide.store();
      auto bytes = [&](std::vector<Weight> parts, bool gated) {
        auto packed = pack_weight(parts, format, gated, machine.stream).value();
        const auto payload = packed->payload();
        return std::vector<std::byte>(payload.data, payload.data + payload.size);
      };
      for (bool gated : {false, true})
        EXPECT_EQ(bytes({codes.weight.rows_of(70, 70), plain.tensor()}, gated),
                  bytes({wide.tensor(), plain.tensor()}, gated))
            << format_name(format) << " of " << c.like;
    }
  GroupedMatrix cut(4, 8, DType::kI8, {QuantScheme::kGrouped, 8, 1, 0}, DType::kF32, random);
  cut.weight.scales = cut.weight.scales.first(12);
  EXPECT_THAT(pack_weight({&cut.weight, 1}, kF32Format, false, machine.stream).status().message(),
              HasSubstr("12 bytes of scales for 4 x 1 groups"));
}

TEST(WeightFormat, CodesStayIntegersWhereTheKernelsHaveThem) {
  const WeightFormat bf16 = unquantized(DType::kBF16);
  EXPECT_EQ(nearest_format({}, DType::kF32, DType::kBF16), bf16) << "the dtype that is asked for";
  const WeightFormat expected[] = {
      {WeightScheme::kInt4, 128, true}, {WeightScheme::kInt4, 32}, kInt8Format, bf16, bf16, bf16, bf16, bf16};
  for (std::size_t i = 0; i < std::size(kGroupedCases); ++i)
    EXPECT_EQ(nearest_format(kGroupedCases[i].quant, kGroupedCases[i].codes, DType::kBF16), expected[i])
        << kGroupedCases[i].like;
}

TEST(PackWeight, EveryInstructionSetAndAnyThreadsPackTheSameBytes) {
  Random random(7);
  for (const WeightFormat& format : kFormats)
    for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
      StoredMatrix weight(150, 1003, dtype, random);
      Machine one(1);
      auto first = weight.pack(format, one.stream);
      for (Isa isa : machine_isas())
        for (int threads : {1, 3}) {
          WithIsa with(isa);
          Machine machine(threads);
          auto packed = weight.pack(format, machine.stream);
          ASSERT_EQ(packed->bytes(), first->bytes());
          EXPECT_EQ(std::memcmp(packed->payload().data, first->payload().data, first->bytes()), 0)
              << format_name(format) << " of " << dtype_name(dtype) << ' ' << isa_name(isa) << ", " << threads
              << " threads";
        }
    }
}

// What came out of one process goes into another: equal products from bytes at another address.
TEST(AdoptPacked, GivesTheSameProducts) {
  Machine machine(2);
  Random random(8);
  for (const WeightFormat& format : kFormats) {
    StoredMatrix weight(70, 200, DType::kF32, random);
    auto packed = weight.pack(format, machine.stream);
    auto buffer = std::make_shared<Buffer>(packed->bytes());
    std::memcpy(buffer->data(), packed->payload().data, packed->bytes());
    std::weak_ptr<Buffer> alive = buffer;
    auto adopted =
        adopt_packed(packed->header(), {static_cast<const std::byte*>(buffer->data()), packed->bytes()},
                     buffer, machine.stream);
    buffer.reset();
    EXPECT_FALSE(alive.expired()) << "the weight keeps its bytes";
    EXPECT_EQ(adopted->header(), packed->header());
    Matrix x(5, 200), y(5, 70), again(5, 70);
    random.fill(x);
    matmul(y.tensor(), Input(*packed, x, machine.stream).tight(), *packed, {}, Epilogue::kStore,
           machine.stream);
    matmul(again.tensor(), Input(*adopted, x, machine.stream).tight(), *adopted, {}, Epilogue::kStore,
           machine.stream);
    expect_same(again, y, format_name(format));
    adopted.reset();
    EXPECT_TRUE(alive.expired());
  }
}

TEST(PackedBytes, RefusesHeadersThatNoWeightHas) {
  const auto packed_bytes = [](const PackedWeight::Header& header) {
    return pagoda::packed_bytes(header, cpu_ops());
  };
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  for (const WeightFormat& format : kFormats) {
    EXPECT_GT(packed_bytes({1, 1, format}), 0u);
    for (int64_t bad : {int64_t{0}, int64_t{-1}, kHuge, -kHuge - 1, int64_t{1} << 32}) {
      EXPECT_EQ(packed_bytes({bad, 8, format}), 0u) << bad;
      EXPECT_EQ(packed_bytes({8, bad, format}), 0u) << bad;
    }
    EXPECT_EQ(packed_bytes({int64_t{1} << 31, int64_t{1} << 31, format}), 0u);
    EXPECT_EQ(packed_bytes({7, 8, format, true}), 0u) << "two halves of an odd number";
    EXPECT_GT(packed_bytes({8, 8, format, true}), 0u);
    EXPECT_EQ(packed_bytes({8, (1 << 16) + 1, format}) == 0, is_integer(format));
    WeightFormat other = format;
    other.group_columns = format.group_columns == 0 ? 32 : 48;
    EXPECT_EQ(packed_bytes({8, 8, other}), 0u) << format_name(format);
    other.group_columns = -128;
    EXPECT_EQ(packed_bytes({8, 8, other}), 0u) << format_name(format);
    if (format.scheme != WeightScheme::kInt4) {
      other = format;
      other.zero_points = true;
      EXPECT_EQ(packed_bytes({8, 8, other}), 0u) << format_name(format);
    }
    for (int32_t group_rows : {-1, 0, 2, 128}) {
      other = format;
      other.group_rows = group_rows;
      EXPECT_EQ(packed_bytes({8, 8, other}), 0u) << format_name(format);
    }
  }
  WeightFormat unknown;
  for (int scheme = 5; scheme < 256; ++scheme) {
    unknown.scheme = static_cast<WeightScheme>(scheme);
    EXPECT_EQ(packed_bytes({8, 8, unknown}), 0u);
  }
  // Bits per weight of large ones, scales and all.
  auto bits = [&](const WeightFormat& format) {
    return static_cast<double>(packed_bytes({4096, 4096, format})) * 8 / (4096.0 * 4096);
  };
  const double expected[] = {32, 16, 16, 8, 4 + 16.0 / 128, 4.5, 4 + 24.0 / 128, 4.75};
  for (std::size_t i = 0; i < std::size(kFormats); ++i)
    EXPECT_NEAR(bits(kFormats[i]), expected[i], 0.02) << format_name(kFormats[i]);
}

TEST(AdoptPackedDeathTest, BytesOfAnotherWeightAreABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const PackedWeight::Header header{70, 200, kInt8Format};
  Machine machine(1);
  Buffer buffer(packed_bytes(header, cpu_ops()) + 64);
  auto adopt = [&](std::size_t offset, std::size_t bytes, const PackedWeight::Header& of) {
    return adopt_packed(of, {static_cast<const std::byte*>(buffer.data()) + offset, bytes}, nullptr,
                        machine.stream);
  };
  EXPECT_DEATH(adopt(0, packed_bytes(header, cpu_ops()) - 1, header), "payload of another weight");
  EXPECT_DEATH(adopt(0, 0, {0, 0, kInt8Format}), "payload of another weight");
  EXPECT_DEATH(adopt(4, packed_bytes(header, cpu_ops()), header), "aligned");
}

TEST(WeightFormat, NamesThatAUserGives) {
  EXPECT_EQ(quantized_format("int8"), kInt8Format);
  EXPECT_EQ(quantized_format("int4"), (WeightFormat{WeightScheme::kInt4, 128, false}));
  EXPECT_EQ(quantized_format("int4-g32"), (WeightFormat{WeightScheme::kInt4, 32, false}));
  EXPECT_EQ(quantized_format("int4-zp"), (WeightFormat{WeightScheme::kInt4, 128, true}));
  EXPECT_EQ(quantized_format("int4-g32-zp"), (WeightFormat{WeightScheme::kInt4, 32, true}));
  for (const char* name : {"", "int", "INT8", "int4-", "int4-g", "int4-g64", "int4-zp-g32", "int8-zp", "fp8"})
    EXPECT_EQ(quantized_format(name), std::nullopt) << name;
}

}  // namespace
}  // namespace pagoda
