#include "ops/gather.h"

#include <gtest/gtest.h>

#include "tests/ops/guarded.h"
#include "tests/ops/packed.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

TEST(Embedding, GivesTheRowsOfAPackedTable) {
  Machine machine(3);
  Random random(5);
  for (const WeightFormat& format : kFormats)
    for (int64_t k : {1, 16, 37, 1003}) {
      SCOPED_TRACE(format_name(format) + " k " + std::to_string(k));
      StoredMatrix weight(130, k, stored_dtype(format), random);
      auto packed = weight.pack(format, machine.stream);
      const Panels panels(*packed);
      std::vector<int32_t> ids;
      for (int i = 0; i < 70; ++i) ids.push_back(i < 2 ? 129 * i : random.below(130));
      for (Isa isa : machine_isas()) {
        WithIsa with(isa);
        Matrix y(70, k, 1);
        embedding(y.tensor(), span_of(ids), *packed, 1, machine.stream);
        for (int64_t t = 0; t < 70; ++t) {
          const int32_t id = ids[static_cast<std::size_t>(t)];
          for (int64_t i = 0; i < k; ++i)
            ASSERT_EQ(y.row(t)[i], panels.weight_at(id, i) * panels.column_scale(i)) << isa_name(isa);
          if (is_integer(format)) continue;
          ASSERT_TRUE(same_bits(y.row(t), weight.values.row(id), k));
        }
        Matrix scaled(70, k);
        embedding(scaled.tensor(), span_of(ids), *packed, 1.5f, machine.stream);
        for (int64_t t = 0; t < 70; ++t)
          for (int64_t i = 0; i < k; ++i) ASSERT_EQ(scaled.row(t)[i], 1.5f * y.row(t)[i]);
      }
    }
}

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
