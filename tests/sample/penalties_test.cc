#include "sample/penalties.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/rng.h"

namespace pagoda {
namespace {

TEST(TokenCounts, CountsAsAMapDoes) {
  for (std::size_t reserved : {0u, 1u, 5000u}) {
    SplitMix64 rng(reserved + 1);
    TokenCounts counts;
    if (reserved > 0) counts.reserve(reserved);
    std::map<TokenId, int32_t> expected;
    std::vector<TokenId> order;
    for (int i = 0; i < 20000; ++i) {
      // Neighbours, and ids that share their lower bits.
      const auto id = static_cast<TokenId>(rng.below(2) == 0 ? rng.below(1000) : rng.below(1000) << 20);
      if (!expected.contains(id)) order.push_back(id);
      ++expected[id];
      ++counts.at(id).output_count;
    }
    ASSERT_EQ(counts.all().size(), expected.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(counts.all()[i].token, order[i]);
      EXPECT_EQ(counts.all()[i].output_count, expected[order[i]]);
    }
  }
}

}  // namespace
}  // namespace pagoda
