#include "ops/cpu/dequantize.h"

#include <gtest/gtest.h>

#include "tests/ops/grouped.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

TEST(Dequantize, EveryRowByTheDefinition) {
  Random random(1);
  for (const GroupedCase& c : kGroupedCases)
    for (int64_t columns : {1, 31, 128, 300}) {
      SCOPED_TRACE(c.like + std::string(" ") + std::to_string(columns));
      const GroupedMatrix matrix(260, columns, c.codes, c.quant, c.scales, random);
      ASSERT_TRUE(check_weight(matrix.weight).ok()) << check_weight(matrix.weight).message();
      std::vector<float> row(static_cast<std::size_t>(columns));
      for (int64_t begin : {0, 1, 127, 200}) {  // slices that begin within a group, too
        const Weight slice = matrix.weight.rows_of(begin, 60);
        for (int64_t i = 0; i < 60; ++i) {
          cpu::dequantize_row(slice, i, row.data());
          for (int64_t j = 0; j < columns; ++j)
            ASSERT_EQ(row[static_cast<std::size_t>(j)], matrix.at(begin + i, j)) << begin + i << ' ' << j;
        }
      }
    }
}

// GPTQ's act-order: groups hold columns from all over.
TEST(Dequantize, ColumnsMayBelongToAnyGroup) {
  Random random(2);
  GroupedMatrix matrix(5, 96, DType::kU8, {QuantScheme::kGrouped, 4, 1, 32, true}, DType::kF16, random);
  std::vector<int32_t> groups;
  for (int i = 0; i < 96; ++i) groups.push_back(i * 7 % 3);
  matrix.weight.column_groups = groups;
  std::vector<float> row(96);
  for (int64_t i = 0; i < 5; ++i) {
    cpu::dequantize_row(matrix.weight, i, row.data());
    for (int64_t j = 0; j < 96; ++j) ASSERT_EQ(row[static_cast<std::size_t>(j)], matrix.at(i, j));
  }
}

}  // namespace
}  // namespace pagoda
