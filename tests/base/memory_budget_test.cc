#include "base/memory_budget.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Budget {
  explicit Budget(std::size_t bytes) {
    budget->configure(bytes, [this] { ++bursts; });
  }
  std::shared_ptr<MemoryBudget> budget = std::make_shared<MemoryBudget>();
  int bursts = 0;
};

TEST(MemoryBudget, IsSharedByAll) {
  Budget b(64 * kMiB);
  MemoryShare small(b.budget), one(b.budget), two(b.budget);
  EXPECT_TRUE(small.grow_to(MemoryBudget::kFreeBytes).ok());
  EXPECT_EQ(b.budget->used(), 0u);
  EXPECT_TRUE(one.grow_to(40 * kMiB).ok());
  EXPECT_TRUE(one.grow_to(30 * kMiB).ok());
  EXPECT_EQ(b.budget->used(), 40 * kMiB) << "for the most that it had";
  EXPECT_EQ(two.grow_to(40 * kMiB).code(), StatusCode::kExhausted);
  EXPECT_EQ(two.grow_to(65 * kMiB).code(), StatusCode::kTooLarge);
  EXPECT_TRUE(two.grow_to(24 * kMiB).ok());
  EXPECT_EQ(b.budget->used(), 64 * kMiB);
  EXPECT_TRUE(small.grow_to(MemoryBudget::kFreeBytes).ok()) << "the small ones go through";
}

TEST(MemoryBudget, HoldsWhatIsLeft) {
  Budget b(4 * kMiB);
  MemoryShare share(b.budget);
  ASSERT_TRUE(share.grow_to(3 * kMiB).ok());
  EXPECT_TRUE(share.hold(kMiB).ok());
  EXPECT_EQ(b.budget->used(), kMiB);
  EXPECT_TRUE(share.hold(2 * kMiB).ok());
  EXPECT_EQ(b.budget->used(), 2 * kMiB);
  EXPECT_EQ(share.hold(5 * kMiB).code(), StatusCode::kTooLarge);
  EXPECT_EQ(b.budget->used(), 2 * kMiB) << "a refusal changes nothing";
  EXPECT_TRUE(share.hold(MemoryBudget::kFreeBytes).ok());
  EXPECT_EQ(b.budget->used(), 0u);
}

TEST(MemoryBudget, TellsWhenABurstIsOver) {
  Budget b(64 * kMiB);
  {
    MemoryShare one(b.budget), two(b.budget);
    ASSERT_TRUE(one.grow_to(40 * kMiB).ok());
    ASSERT_TRUE(two.grow_to(24 * kMiB).ok());
    ASSERT_TRUE(two.hold(0).ok());
    EXPECT_EQ(b.bursts, 0);
  }
  EXPECT_EQ(b.budget->used(), 0u);
  EXPECT_EQ(b.bursts, 1);
  {
    MemoryShare little(b.budget);
    ASSERT_TRUE(little.grow_to(kMiB).ok());
  }
  EXPECT_EQ(b.bursts, 1) << "a little is no burst";
}

}  // namespace
}  // namespace pagoda
