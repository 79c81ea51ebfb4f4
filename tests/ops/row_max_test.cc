#include <gtest/gtest.h>

#include <limits>

#include "ops/host_rows.h"
#include "tests/ops/guarded.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(RowMax, TheLowestOfTheLargest) {
  Random random(1);
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    for (int64_t count : {1, 2, 15, 16, 17, 1023, 1024, 1025, 5000}) {
      Matrix row(1, count);
      for (int round = 0; round < 20; ++round) {
        for (int64_t i = 0; i < count; ++i) row.row(0)[i] = static_cast<float>(random.below(50) - 70);
        if (round % 3 == 0) row.row(0)[random.below(static_cast<int>(count))] = -kInfinity;
        const float* begin = row.row(0);
        const float* expected = std::max_element(begin, begin + count);
        const RowMax found = row_max({begin, static_cast<std::size_t>(count)});
        EXPECT_TRUE(found.is_finite);
        EXPECT_EQ(found.value, *expected);
        EXPECT_EQ(found.index, expected - begin) << isa_name(isa) << " of " << count;
      }
    }
  }
}

TEST(RowMax, SaysWhatIsNotFinite) {
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    for (int64_t count : {1, 16, 19, 3000})
      for (int64_t at : {int64_t{0}, count / 2, count - 1})
        for (float value : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()}) {
          Matrix row(1, count);
          row.row(0)[at] = value;
          const RowMax found = row_max({row.row(0), static_cast<std::size_t>(count)});
          EXPECT_EQ(found.is_finite, !(value == kInfinity || std::isnan(value)))
              << isa_name(isa) << ' ' << count << ' ' << at << ' ' << value;
        }
    Matrix never(1, 40);
    std::fill_n(never.row(0), 40, -kInfinity);
    const RowMax none = row_max({never.row(0), 40});
    EXPECT_TRUE(none.is_finite);
    EXPECT_EQ(none.value, -kInfinity);
  }
}

TEST(ShiftAndDivide, IsTheExpressionOfItsName) {
  Random random(2);
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    for (int64_t count : {1, 15, 16, 17, 1000}) {
      Matrix x(1, count), y(1, count);
      random.fill(x);
      x.row(0)[count / 2] = -kInfinity;
      const auto size = static_cast<std::size_t>(count);
      shift_and_divide({y.row(0), size}, {x.row(0), size}, 0.37f, 0.7f);
      for (int64_t i = 0; i < count; ++i)
        EXPECT_EQ(y.row(0)[i], (x.row(0)[i] - 0.37f) / 0.7f) << isa_name(isa);
      shift_and_divide({x.row(0), size}, {x.row(0), size}, 0.37f, 0.7f);
      EXPECT_TRUE(same_bits(x.row(0), y.row(0), count)) << "in place";
    }
  }
}

}  // namespace
}  // namespace pagoda
