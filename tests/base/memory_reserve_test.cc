#include "base/memory_reserve.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
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

TEST(MemoryReserve, IsGivenOutInPiecesAndOnlyToWhoMayHaveIt) {
  ASSERT_TRUE(keep_memory_reserve(1 << 20));
  EXPECT_FALSE(memory_is_short());
  EXPECT_FALSE(handler_makes_room()) << "this thread's request may fail";
  {
    UseOfReserve scope;
    EXPECT_TRUE(handler_makes_room());
    EXPECT_TRUE(memory_is_short());
    {
      KeepOffReserve large;
      EXPECT_FALSE(handler_makes_room());
    }
    int num_pieces = 1;
    while (handler_makes_room()) ASSERT_LE(++num_pieces, 1000) << "it has an end";
    EXPECT_GT(num_pieces, 4);
    ASSERT_TRUE(keep_memory_reserve(1 << 20));
    EXPECT_FALSE(memory_is_short());
    EXPECT_TRUE(make_room_for_allocation());
  }
  EXPECT_TRUE(keep_memory_reserve(1 << 20));
  EXPECT_FALSE(make_room_for_allocation());
}

// Under a limit of address space that leaves so much, as far as the process's own mappings let it be said.
struct Limit {
  rlimit before{};
  explicit Limit(uint64_t room) {
    getrlimit(RLIMIT_AS, &before);
    malloc_trim(0);
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limit{pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + room, before.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
  }
  ~Limit() { setrlimit(RLIMIT_AS, &before); }
};

TEST(MemoryReserve, LeavesOthersAsMuchAsItTakesOrIsAQuarter) {
  constexpr std::size_t kWhole = 1 << 20;  // as the first call of this process has said
  UseOfReserve scope;
  ASSERT_TRUE(keep_memory_reserve(kWhole));
  while (make_room_for_allocation()) {
  }
  {
    Limit limit(0);
    EXPECT_FALSE(keep_memory_reserve(kWhole));
    EXPECT_TRUE(memory_is_short());
    EXPECT_FALSE(has_room_for(kWhole));
  }
  while (make_room_for_allocation()) {
  }
  {
    Limit limit(kWhole);
    EXPECT_TRUE(keep_memory_reserve(kWhole));
    EXPECT_TRUE(has_room_for(kWhole / 2));
  }
  EXPECT_TRUE(has_room_for(kWhole));
}

TEST(MemoryReserve, InsistingTriesAgain) {
  int num_tries = 0;
  EXPECT_TRUE(insist([&] {
    if (++num_tries < 3) throw std::bad_alloc();
  }));
  EXPECT_EQ(num_tries, 3);
  EXPECT_FALSE(insist([] { throw std::bad_alloc(); }));
  EXPECT_FALSE(insist([&] {
    ++num_tries;
    throw 1;
  }));
  EXPECT_EQ(num_tries, 4) << "what would fail again is not tried again";
}

}  // namespace
}  // namespace pagoda
