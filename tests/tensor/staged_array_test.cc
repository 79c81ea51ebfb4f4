#include "tensor/staged_array.h"

#include <gtest/gtest.h>

#include <numeric>

namespace pagoda {
namespace {

TEST(StagedArray, UploadsWhatTheHostHoldsAndKeepsItsMemory) {
  StagedArray<int32_t> array;
  EXPECT_TRUE(array.upload(cpu_memory()).empty());
  const void* kept = nullptr;
  for (std::size_t count : {100, 3, 0, 100, 57}) {
    array.host().resize(count);
    std::iota(array.host().begin(), array.host().end(), static_cast<int32_t>(count));
    const DeviceSpan<const int32_t> there = array.upload(cpu_memory());
    ASSERT_EQ(there.size, static_cast<int64_t>(count));
    if (kept != nullptr) {
      EXPECT_EQ(there.data, kept) << "no larger than before";
    }
    kept = there.data;
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(there.data[i], static_cast<int32_t>(count + i));
  }
}

}  // namespace
}  // namespace pagoda
