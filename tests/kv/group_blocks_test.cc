#include "kv/group_blocks.h"

#include <gtest/gtest.h>

#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

TEST(GroupBlocks, FirstVisible) {
  const KvGroupSpec full = testing::full_group(16), window = testing::window_group(16, 100),
                    state = testing::state_group(16);
  struct {
    int32_t num_computed, window, state;
  } const kCases[] = {{0, 0, 0},   {1, 0, 0},   {16, 0, 0},  {17, 0, 1},
                      {114, 0, 7}, {115, 1, 7}, {131, 2, 8}, {1600, 93, 99}};
  for (const auto& c : kCases) {
    EXPECT_EQ(first_visible(full, c.num_computed), 0);
    EXPECT_EQ(first_visible(window, c.num_computed), c.window) << c.num_computed;
    EXPECT_EQ(first_visible(state, c.num_computed), c.state) << c.num_computed;
  }
  EXPECT_TRUE(sees_all(full) && !sees_all(window) && !sees_all(state));
}

TEST(GroupBlocks, BlocksPerSequence) {
  const KvGroupSpec groups[] = {testing::full_group(16), testing::window_group(16, 100),
                                testing::state_group(16)};
  EXPECT_EQ(blocks_per_sequence(groups, 16, 64), 3);
  EXPECT_EQ(blocks_per_sequence(groups, 16000, 64), 1000 + 12 + 2);  // ceil(163 / 16) + 1
  EXPECT_EQ(blocks_per_sequence({groups, 1}, 17, 64), 2);
}

}  // namespace
}  // namespace pagoda
