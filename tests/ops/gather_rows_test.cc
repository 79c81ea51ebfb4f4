#include "ops/gather_rows.h"

#include <gtest/gtest.h>

#include "tests/ops/guarded.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

TEST(GatherRows, CopiesRowsInAnyOrderAndTwice) {
  Random random(1);
  for (int threads : {1, 3})
    for (int64_t k : {1, 17, 2048}) {
      Machine machine(threads);
      Matrix x(30, k, 3);
      random.fill(x);
      std::vector<int32_t> rows = {29, 0, 0, 7};
      for (int i = 0; i < 100; ++i) rows.push_back(random.below(30));
      Matrix y(static_cast<int64_t>(rows.size()), k, 1);
      gather_rows(y.tensor(), x.tensor(), span_of(rows), machine.stream);
      for (std::size_t i = 0; i < rows.size(); ++i)
        ASSERT_TRUE(same_bits(y.row(static_cast<int64_t>(i)), x.row(rows[i]), k)) << i;
    }
}

TEST(GatherRowsDeathTest, AnotherNumberOfRowsIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Machine machine(1);
  Matrix x(3, 8), y(2, 8);
  const std::vector<int32_t> rows = {0, 1, 2};
  EXPECT_DEATH(gather_rows(y.tensor(), x.tensor(), span_of(rows), machine.stream),
               "gather_rows: y is F32 \\[2, 8\\].* not F32 \\[3, 8\\]");
}

}  // namespace
}  // namespace pagoda
