#include "base/rng.h"

#include <gtest/gtest.h>

#include <array>

namespace pagoda {
namespace {

// Known answers published with Random123 (kat_vectors, philox4x32 with 10 rounds).
TEST(Rng, PhiloxMatchesThePublishedVectors) {
  using Counter = std::array<uint32_t, 4>;
  struct Case {
    Counter counter;
    std::array<uint32_t, 2> key;
    Counter expected;
  } cases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Case& c : cases) EXPECT_EQ(philox4x32(c.counter, c.key), c.expected);
}

TEST(Rng, SplitMixSkips) {
  SplitMix64 whole(42), skipped(42 + 3 * SplitMix64::kIncrement);
  for (int i = 0; i < 3; ++i) whole.next();
  EXPECT_EQ(whole.next(), skipped.next());
}

}  // namespace
}  // namespace pagoda
