#include "base/shared_list.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

TEST(SharedList, CopiesShareWhatTheyHold) {
  SharedList<int> empty, none{std::vector<int>()};
  EXPECT_TRUE(empty.empty() && none.empty());
  EXPECT_EQ(empty, none);
  EXPECT_EQ(empty.begin(), empty.end());
  SharedList<int> list = {3, 1, 2};
  const SharedList<int> copy = list;
  EXPECT_EQ(copy.begin(), list.begin());
  EXPECT_EQ(copy.size(), 3U);
  list = std::vector<int>{4};
  EXPECT_EQ(copy, (std::vector<int>{3, 1, 2}));
  EXPECT_EQ(list, (std::vector<int>{4}));
}

}  // namespace
}  // namespace pagoda
