#include "tensor/device_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <new>
#include <vector>

#include "tensor/tensor.h"

namespace pagoda {
namespace {

std::vector<std::byte> numbers(std::size_t count, int first) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::byte>(static_cast<std::size_t>(first) + i);
  return bytes;
}

TEST(DeviceBuffer, IsZeroedAndCopiesInAndOutAtAnyPlace) {
  for (std::size_t bytes : {std::size_t{1}, std::size_t{100}, std::size_t{3} << 20}) {
    DeviceBuffer buffer(cpu_memory(), bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
    std::vector<std::byte> back(bytes);
    buffer.copy_to_host(0, back);
    EXPECT_EQ(back, std::vector<std::byte>(bytes));
    const auto some = numbers(bytes / 2, 3);
    buffer.copy_from_host(bytes - some.size(), some);
    std::vector<std::byte> tail(some.size());
    buffer.copy_to_host(bytes - some.size(), tail);
    EXPECT_EQ(tail, some);
    buffer.clear();
    buffer.copy_to_host(0, back);
    EXPECT_EQ(back, std::vector<std::byte>(bytes));
  }
}

TEST(DeviceBuffer, MovesAndMayBeEmpty) {
  DeviceBuffer buffer = DeviceBuffer::copy_of(cpu_memory(), numbers(10, 1));
  const void* at = buffer.data();
  DeviceBuffer other = std::move(buffer);
  EXPECT_EQ(other.data(), at);
  EXPECT_EQ(buffer.bytes(), 0u);
  EXPECT_EQ(other.span<uint16_t>().size, 5);
  buffer = DeviceBuffer::copy_of(cpu_memory(), {});
  buffer.copy_from_host(0, {});
  EXPECT_TRUE(buffer.span<float>().empty());
}

TEST(DeviceBuffer, TooMuchIsBadAlloc) {
  EXPECT_THROW(DeviceBuffer(cpu_memory(), SIZE_MAX / 2), std::bad_alloc);
}

TEST(DeviceBufferDeathTest, ACopyBeyondItsEndIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  DeviceBuffer buffer(cpu_memory(), 8);
  std::byte bytes[9] = {};
  EXPECT_DEATH(buffer.copy_from_host(0, bytes), "a copy within the buffer");
  EXPECT_DEATH(buffer.copy_to_host(9, {bytes, 0}), "a copy within the buffer");
}

}  // namespace
}  // namespace pagoda
