#include "base/memory_reserve.h"

#include <gtest/gtest.h>

#include <new>

namespace pagoda {
namespace {

// The standard's operator new calls the new-handler until it throws or there is memory.
bool handler_makes_room() {
  try {
    std::get_new_handler()();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

TEST(MemoryReserve, IsGivenOutOnceAndOnlyToWhoMayHaveIt) {
  ASSERT_TRUE(keep_memory_reserve(1 << 20));
  EXPECT_FALSE(memory_is_short());
  EXPECT_FALSE(handler_makes_room()) << "this thread's request may fail";
  {
    UseOfReserve scope;
    EXPECT_TRUE(handler_makes_room());
    EXPECT_TRUE(memory_is_short());
    EXPECT_FALSE(handler_makes_room()) << "there is no second one";
    ASSERT_TRUE(keep_memory_reserve(1 << 20));
    EXPECT_FALSE(memory_is_short());
    EXPECT_TRUE(make_room_for_allocation());
  }
  EXPECT_TRUE(keep_memory_reserve(1 << 20));
  EXPECT_FALSE(make_room_for_allocation());
}

TEST(MemoryReserve, MoreThanThereIsIsNotPutBy) {
  UseOfReserve scope;
  ASSERT_TRUE(keep_memory_reserve(1 << 20));
  ASSERT_TRUE(make_room_for_allocation());
  EXPECT_FALSE(keep_memory_reserve(std::size_t{1} << 62));
  EXPECT_TRUE(memory_is_short());
  EXPECT_TRUE(keep_memory_reserve(1 << 20));
}

}  // namespace
}  // namespace pagoda
