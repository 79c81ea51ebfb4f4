#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <new>

#include "tensor/tensor.h"

namespace pagoda {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;

bool all_zero(const Buffer& buffer) {
  const auto* bytes = static_cast<const char*>(buffer.data());
  return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, buffer.bytes() - 1) == 0;
}

TEST(Buffer, IsAlignedZeroedAndMoves) {
  for (std::size_t bytes : {std::size_t{1}, std::size_t{100}, kHuge - 1, kHuge, kHuge + 1, 3 * kHuge}) {
    for (int again = 0; again < 2; ++again) {  // also where memory was used before
      Buffer buffer(bytes);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % (bytes < kHuge ? 64 : kHuge), 0u) << bytes;
      EXPECT_TRUE(all_zero(buffer)) << bytes;
      std::memset(buffer.data(), 0xAB, bytes);
      Buffer other = std::move(buffer);
      EXPECT_EQ(other.bytes(), bytes);
      EXPECT_EQ(static_cast<unsigned char*>(other.data())[bytes - 1], 0xAB);
      EXPECT_EQ(buffer.data(), nullptr);  // NOLINT: what a move leaves is part of the contract
      EXPECT_EQ(buffer.bytes(), 0u);
    }
  }
}

TEST(Buffer, UninitializedHasRoomForAll) {
  for (std::size_t bytes : {std::size_t{1}, std::size_t{65}, kHuge, 2 * kHuge + 7}) {
    Buffer buffer = Buffer::uninitialized(bytes);
    ASSERT_EQ(buffer.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    std::memset(buffer.data(), 1, bytes);
  }
  EXPECT_EQ(Buffer::uninitialized(0).data(), nullptr);
}

TEST(Buffer, ClearedIsZeroAndStillThere) {
  for (std::size_t bytes : {std::size_t{0}, std::size_t{65}, kHuge, 2 * kHuge + 7}) {
    Buffer buffer(bytes);
    if (bytes > 0) std::memset(buffer.data(), 1, bytes);
    buffer.clear();
    ASSERT_EQ(buffer.bytes(), bytes);
    if (bytes == 0) continue;
    EXPECT_TRUE(all_zero(buffer)) << bytes;
    std::memset(buffer.data(), 2, bytes);
    EXPECT_EQ(static_cast<char*>(buffer.data())[bytes - 1], 2);
  }
}

TEST(Buffer, TooMuchIsBadAlloc) {
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  for (std::size_t bytes : {most, most - 64, most - kHuge, most / 2}) {
    EXPECT_THROW(Buffer::uninitialized(bytes), std::bad_alloc) << bytes;
    EXPECT_THROW(Buffer{bytes}, std::bad_alloc) << bytes;
  }
}

}  // namespace
}  // namespace pagoda
