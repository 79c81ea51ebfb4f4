// The backend that proves others is itself proved: what it should refuse, it refuses.
#include "tests/testing/guarded_backend.h"

#include <gtest/gtest.h>

#include "ops/gather.h"
#include "tests/testing/cpu_spans.h"

namespace pagoda {
namespace {

using testing::GuardedMemory;
using testing::GuardedStream;

TEST(GuardedBackend, OpsAndCopiesReachItsMemory) {
  GuardedStream stream(2);
  const std::vector<float> numbers = {1, 2, 3, 4, 5, 6};
  const std::vector<int32_t> rows = {2, 0};
  const DeviceBuffer x = DeviceBuffer::copy_of(stream.memory(), std::as_bytes(std::span(numbers)));
  const DeviceBuffer at = DeviceBuffer::copy_of(stream.memory(), std::as_bytes(std::span(rows)));
  const DeviceBuffer y(stream.memory(), 4 * sizeof(float));
  gather_rows(Tensor::matrix(y.data(), DType::kF32, 2, 2), Tensor::matrix(x.data(), DType::kF32, 3, 2),
              at.span<const int32_t>(), stream);
  std::vector<float> out(4);
  y.copy_to_host(0, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, (std::vector<float>{5, 6, 1, 2}));
}

TEST(GuardedBackendDeathTest, TheHostDiesOfATouch) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const DeviceBuffer buffer(GuardedMemory::instance(), 64);
  EXPECT_DEATH(*static_cast<volatile float*>(buffer.data()) = 1, "");
  EXPECT_DEATH((void)*static_cast<const volatile float*>(buffer.data()), "");
}

TEST(GuardedBackendDeathTest, AnOpTakesNoHostMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  GuardedStream stream(1);
  std::vector<float> x = {1, 2}, y = {0, 0};
  const std::vector<int32_t> rows = {0};
  EXPECT_DEATH(gather_rows(Tensor::matrix(y.data(), DType::kF32, 1, 2),
                           Tensor::matrix(x.data(), DType::kF32, 1, 2), testing::span_of(rows), stream),
               "memory of the device");
}

}  // namespace
}  // namespace pagoda
