#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/rng.h"
#include "ops/host_rows.h"
#include "tests/ops/guarded.h"

namespace pagoda {
namespace {

using namespace pagoda::testing;
constexpr float kNever = -std::numeric_limits<float>::infinity();

// Every block is asked for; by token: whether it was found.
std::vector<bool> found_in(std::span<const float> logits, const NoiseDraw& draw, float least, double best) {
  std::vector<bool> found(logits.size(), false);
  NoiseFinds finds;
  for (int64_t begin = 0; find_noise(logits, begin, draw, least, best, &finds); begin = finds.first + 64) {
    EXPECT_EQ(finds.first % 64, 0);
    EXPECT_GE(finds.first, begin);
    EXPECT_NE(finds.found, 0u);
    for (std::size_t i = 0; i < 64; ++i) {
      if ((finds.found >> i & 1) == 0) continue;
      const std::size_t token = static_cast<std::size_t>(finds.first) + i;
      if (token >= logits.size()) {
        ADD_FAILURE() << "found behind the end: " << token;
        continue;
      }
      found[token] = true;
      const uint32_t upper =
          philox4x32({static_cast<uint32_t>(token / 4), draw.index, 0, 0}, draw.key)[token % 4];
      EXPECT_EQ(finds.upper[i], upper) << token;
    }
  }
  return found;
}

TEST(FindNoise, FindsEveryTokenThatReachesTheBestAndFewOthers) {
  SplitMix64 random(1);
  for (Isa isa : machine_isas()) {
    WithIsa with(isa);
    for (int64_t count : {1, 3, 63, 64, 65, 127, 1000, 5000})
      for (double best : {-3.0, 0.5, 6.0, 20.0, 44.0}) {
        Matrix row(1, count);
        for (int64_t i = 0; i < count; ++i)
          row.row(0)[i] = i % 7 == 3 ? kNever : static_cast<float>(-12 * random.uniform());
        row.row(0)[random.below(static_cast<uint64_t>(count))] = 0;
        const NoiseDraw draw{{static_cast<uint32_t>(random.next()), static_cast<uint32_t>(random.next())},
                             static_cast<uint32_t>(random.below(1000))};
        const float least = count % 2 == 0 ? -9.0f : std::numeric_limits<float>::lowest();
        const std::vector<bool> found =
            found_in({row.row(0), static_cast<std::size_t>(count)}, draw, least, best);
        int64_t needless = 0;
        for (int64_t i = 0; i < count; ++i) {
          const float logit = row.row(0)[i];
          const uint32_t upper = philox4x32({static_cast<uint32_t>(i / 4), draw.index, 0, 0},
                                            draw.key)[static_cast<std::size_t>(i % 4)];
          // It can reach the best only where -log(1 - v) <= e^(logit - best), and v is no larger than that.
          const double v = static_cast<double>(upper) * 0x1p-32;
          const double bound = std::exp(static_cast<double>(logit) - best);
          const bool is_found = found[static_cast<std::size_t>(i)];
          if (logit >= least && v <= bound) {
            EXPECT_TRUE(is_found) << isa_name(isa) << ' ' << count << ' ' << best << " token " << i;
          }
          needless += is_found && v > bound * 1.01 ? 1 : 0;
          needless += is_found && logit < least ? 1 : 0;
        }
        EXPECT_EQ(needless, 0) << isa_name(isa) << ' ' << count << ' ' << best;
      }
  }
}

}  // namespace
}  // namespace pagoda
