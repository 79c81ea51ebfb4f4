#include "tensor/weight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace pagoda {
namespace {

using ::testing::HasSubstr;

// 10 x 12 codes of 4 bits with scales and zeros for groups of 4 x 5: 3 x 3 of them.
class GroupedWeight : public ::testing::Test {
 protected:
  Weight weight() const {
    Weight weight = plain_weight("w", DType::kU8, 10, 12, codes_);
    weight.quant = {QuantScheme::kGrouped, 4, 4, 5, true};
    weight.row_stride = 6;
    weight.scale_dtype = DType::kF16;
    weight.scales = scales_;
    weight.zeros = zeros_;
    return weight;
  }
  std::vector<std::byte> codes_ = std::vector<std::byte>(60), scales_ = std::vector<std::byte>(18),
                         zeros_ = std::vector<std::byte>(9);
};

TEST_F(GroupedWeight, SizesAreJudged) {
  EXPECT_TRUE(check_weight(weight()).ok()) << check_weight(weight()).message();
  const std::vector<int32_t> ordered(12, 2), beyond(12, 3), few(11, 0), negative(12, -1);
  struct Case {
    void (*spoil)(Weight*);
    const char* words;
  };
  const Case cases[] = {
      {[](Weight* w) { w->rows = 0; }, "is empty"},
      {[](Weight* w) { w->columns = -1; }, "is empty"},
      {[](Weight* w) { w->data = w->data.first(59); }, "59 bytes"},
      {[](Weight* w) { w->row_stride = 5; }, "60 bytes"},
      {[](Weight* w) { w->row_stride = std::numeric_limits<int64_t>::max() / 2; }, "60 bytes"},
      {[](Weight* w) { w->rows = w->columns = int64_t{1} << 40; }, "60 bytes"},
      {[](Weight* w) { w->quant.bits = 5; }, "bytes"},
      {[](Weight* w) { w->dtype = DType::kI8; }, "codes of 4 bits"},
      {[](Weight* w) { w->scale_dtype = DType::kI32; }, "scales of I32"},
      {[](Weight* w) { w->quant.group_rows = -4; }, "cannot be"},
      {[](Weight* w) { w->quant.group_columns = -1; }, "cannot be"},
      {[](Weight* w) { w->first_row_in_group = 4; }, "cannot be"},
      {[](Weight* w) { w->first_row_in_group = -1; }, "cannot be"},
      {[](Weight* w) { w->quant.group_columns = 6; }, "18 bytes of scales for 3 x 2 groups"},
      {[](Weight* w) { w->quant.group_rows = 0; }, "18 bytes of scales for 1 x 3 groups"},
      {[](Weight* w) { w->scales = {}; }, "0 bytes of scales"},
      {[](Weight* w) { w->zeros = w->zeros.first(8); }, "8 zero points"},
      {[](Weight* w) { w->quant.has_zeros = false; }, "9 zero points"},
  };
  for (const Case& c : cases) {
    Weight spoilt = weight();
    c.spoil(&spoilt);
    EXPECT_THAT(check_weight(spoilt).message(), HasSubstr(c.words));
  }
  Weight by_order = weight();
  by_order.column_groups = ordered;
  EXPECT_TRUE(check_weight(by_order).ok());
  for (const auto* groups : {&beyond, &few, &negative}) {
    by_order.column_groups = *groups;
    EXPECT_THAT(check_weight(by_order).message(), HasSubstr("groups that are not there"));
  }
}

TEST_F(GroupedWeight, SlicesKeepTheirGroups) {
  const Weight whole = weight();
  for (int64_t begin = 0; begin < 10; ++begin)
    for (int64_t count = 1; begin + count <= 10; ++count) {
      const Weight slice = whole.rows_of(begin, count);
      ASSERT_TRUE(check_weight(slice).ok()) << begin << ' ' << count << check_weight(slice).message();
      for (int64_t row = 0; row < count; ++row) {
        ASSERT_EQ(slice.data.data() + row * slice.row_stride, codes_.data() + (begin + row) * 6);
        const int64_t group = slice.row_group(row) * 3, expected = (begin + row) / 4 * 3;
        ASSERT_EQ(slice.scales.data() + group * 2, scales_.data() + expected * 2);
        ASSERT_EQ(slice.zeros.data() + group, zeros_.data() + expected);
      }
      const Weight inner = slice.rows_of(count - 1, 1);  // a slice of a slice
      ASSERT_EQ(inner.data.data(), codes_.data() + (begin + count - 1) * 6);
      ASSERT_EQ(inner.zeros.data(), zeros_.data() + (begin + count - 1) / 4 * 3);
    }
}

TEST(Weight, PlainNumbersWithRoomBetweenRows) {
  const std::vector<std::byte> bytes(100);
  Weight weight = plain_weight("w", DType::kBF16, 4, 10, std::span(bytes).first(80));
  EXPECT_TRUE(check_weight(weight).ok());
  weight.row_stride = 25;  // the left columns of a wider matrix, at any alignment
  weight.data = std::span(bytes).first(95);
  EXPECT_TRUE(check_weight(weight).ok());
  EXPECT_EQ(weight.rows_of(2, 2).data.data(), bytes.data() + 50);
  EXPECT_EQ(weight.rows_of(2, 2).data.size(), 45u);
  weight.data = bytes;
  EXPECT_EQ(check_weight(weight).message(),
            "weight 'w' (BF16 [4, 10]) has 100 bytes, which is not what its shape asks for");
}

}  // namespace
}  // namespace pagoda
