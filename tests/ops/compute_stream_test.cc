#include <gtest/gtest.h>

#include <vector>

#include "ops/cpu/cpu_stream.h"
#include "ops/rope.h"
#include "tests/testing/cpu_spans.h"

namespace pagoda {
namespace {

double total(const OpTimes& times) {
  return times[0] + times[1] + times[2];
}

TEST(OpTimer, AddsToItsKindOfOpWhileTimesAreSet) {
  ComputePool pool(1);
  CpuStream stream(&pool);
  const RopeTable table(std::vector<double>(32, 0.1), 1, 64, stream.memory());
  std::vector<float> x(64 * 64, 1);
  const std::vector<int32_t> positions(64, 3);
  auto turn = [&] {
    rope(Tensor::matrix(x.data(), DType::kF32, 64, 64), testing::span_of(positions), 1, 64, table, stream);
  };
  OpTimes times{};
  turn();
  EXPECT_EQ(total(times), 0);
  stream.set_times(&times);
  turn();
  const double once = times[static_cast<std::size_t>(OpKind::kRows)];
  EXPECT_GT(once, 0);
  EXPECT_EQ(total(times), once);
  turn();
  EXPECT_GT(times[static_cast<std::size_t>(OpKind::kRows)], once);
  stream.set_times(nullptr);
  const double before = total(times);
  turn();
  EXPECT_EQ(total(times), before);
}

}  // namespace
}  // namespace pagoda
