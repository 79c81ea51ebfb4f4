#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/matmul.h"
#include "tests/ops/packed.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;

TEST(PackWeight, WeightsThatDoNotFitAreRefusedByName) {
  Machine machine(1);
  Random random(4);
  Weight a(4, 8, DType::kF32, random), narrow(4, 7, DType::kF32, random), half(4, 8, DType::kF16, random);
  auto error = [&](std::vector<QuantTensor> parts) {
    auto packed = pack_weight(parts, kF32Format, false, machine.stream);
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

}  // namespace
}  // namespace pagoda
