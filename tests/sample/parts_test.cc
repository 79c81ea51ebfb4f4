#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/rng.h"
#include "sample/gumbel.h"
#include "sample/logits_filter.h"
#include "sample/logprobs.h"

namespace pagoda {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Few distinct values: ties everywhere. The largest is 0, some are -infinity.
std::vector<float> shifted_logits(SplitMix64* rng, int vocab, bool ties) {
  std::vector<float> x;
  for (int i = 0; i < vocab; ++i)
    x.push_back(ties ? -0.25f * static_cast<float>(rng->below(24))
                     : static_cast<float>(-rng->uniform() * 12));
  for (int i = 0; i < vocab / 10; ++i) x[rng->below(static_cast<uint64_t>(vocab))] = -kInf;
  x[rng->below(static_cast<uint64_t>(vocab))] = 0;
  return x;
}

std::vector<std::size_t> descending(const std::vector<float>& x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] > x[b]; });
  return order;
}

TEST(KthLargest, EqualsSorting) {
  SplitMix64 rng(3);
  std::vector<float> scratch;
  for (int round = 0; round < 200; ++round) {
    std::vector<float> x = shifted_logits(&rng, 1 + static_cast<int>(rng.below(2000)), round % 2 == 0);
    const std::size_t k = 1 + rng.below(x.size());
    ASSERT_EQ(kth_largest(x, k, &scratch), x[descending(x)[k - 1]]) << x.size() << " " << k;
  }
}

TEST(Cutoff, KeepsWhatTheDefinitionsKeep) {
  SplitMix64 rng(4);
  FilterScratch scratch;
  for (int round = 0; round < 400; ++round) {
    std::vector<float> x = shifted_logits(&rng, 2 + static_cast<int>(rng.below(500)), round % 2 == 0);
    SamplingParams p;
    if (rng.below(2)) p.min_p = static_cast<float>(rng.uniform() * 0.3);
    if (rng.below(2)) p.top_k = 1 + static_cast<int32_t>(rng.below(x.size() + 5));
    if (rng.below(2)) p.top_p = static_cast<float>(0.05 + rng.uniform() * 0.95);
    std::vector<std::size_t> order = descending(x);
    std::erase_if(order, [&](std::size_t i) {
      return x[i] == -kInf || std::exp(static_cast<double>(x[i])) < static_cast<double>(p.min_p);
    });
    if (p.top_k > 0 && static_cast<std::size_t>(p.top_k) < order.size()) {
      const float kth = x[order[static_cast<std::size_t>(p.top_k) - 1]];
      std::erase_if(order, [&](std::size_t i) { return x[i] < kth; });
    }
    double total = 0, sum = 0;
    for (std::size_t i : order) total += std::exp(static_cast<double>(x[i]));
    std::size_t kept = 0;
    while (kept < order.size() && (p.top_p >= 1 || sum < static_cast<double>(p.top_p) * total))
      sum += std::exp(static_cast<double>(x[order[kept++]]));
    std::vector<bool> expected(x.size(), false);
    for (std::size_t i = 0; i < kept; ++i) expected[order[i]] = true;

    const Cutoff cutoff = find_cutoff(x, p, &scratch);
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_EQ(cutoff.keeps(x[i], static_cast<TokenId>(i)), expected[i])
          << "round " << round << " token " << i << " logit " << x[i] << " p " << p.top_p << " k " << p.top_k;
  }
}

TEST(Cutoff, TopPKeepsAtLeastOneAndBreaksTiesById) {
  FilterScratch scratch;
  SamplingParams p;
  p.top_p = 1e-6f;
  std::vector<float> x(100, 0.0f);
  Cutoff cutoff = find_cutoff(x, p, &scratch);
  EXPECT_TRUE(cutoff.keeps(0, 0));
  EXPECT_FALSE(cutoff.keeps(0, 1));
  p.top_p = 0.1f;
  cutoff = find_cutoff(x, p, &scratch);
  EXPECT_TRUE(cutoff.keeps(0, 9));
  EXPECT_FALSE(cutoff.keeps(0, 11));
  p.top_p = 0.9999999f;  // reaches into logits far below the bins
  x = {0.0f, -70.0f, -90.0f, -1e30f};
  cutoff = find_cutoff(x, p, &scratch);
  EXPECT_TRUE(cutoff.keeps(x[0], 0));
  EXPECT_FALSE(cutoff.keeps(x[1], 1));
}

// The draw without its short cuts: every token's noise, every score.
TokenId plain_draw(const std::vector<float>& x, const Cutoff& cutoff, uint64_t seed, int32_t index) {
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  double best = -std::numeric_limits<double>::infinity();
  TokenId winner = -1;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto id = static_cast<uint32_t>(i);
    if (!cutoff.keeps(x[i], static_cast<TokenId>(i))) continue;
    const uint64_t upper = philox4x32({id / 4, static_cast<uint32_t>(index), 0, 0}, key)[id % 4];
    const uint64_t lower = philox4x32({id, static_cast<uint32_t>(index), 0, 1}, key)[0];
    const double v =
        std::min((static_cast<double>(upper << 32 | lower) + 0.5) / 18446744073709551616.0, 1 - 0x1p-53);
    const double score = static_cast<double>(x[i]) - std::log(-std::log1p(-v));
    if (score > best) {
      best = score;
      winner = static_cast<TokenId>(i);
    }
  }
  return winner;
}

TEST(GumbelDraw, ShortCutsChangeNothing) {
  SplitMix64 rng(6);
  FilterScratch scratch;
  for (int round = 0; round < 3000; ++round) {
    std::vector<float> x = shifted_logits(&rng, 1 + static_cast<int>(rng.below(300)), round % 3 == 0);
    SamplingParams p;
    if (round % 4 == 0) p.top_p = 0.6f;
    const Cutoff cutoff = find_cutoff(x, p, &scratch);
    const auto favourite = static_cast<TokenId>(std::max_element(x.begin(), x.end()) - x.begin());
    const uint64_t seed = rng.next();
    ASSERT_EQ(gumbel_draw(x, cutoff, favourite, seed, round), plain_draw(x, cutoff, seed, round)) << round;
  }
}

TEST(Logprobs, EqualTheDefinition) {
  SplitMix64 rng(8);
  std::vector<std::pair<float, TokenId>> scratch;
  std::vector<TopLogprob> top;
  for (int round = 0; round < 100; ++round) {
    std::vector<float> x = shifted_logits(&rng, 1 + static_cast<int>(rng.below(1500)), round % 2 == 0);
    for (float& value : x) value += 20;
    long double sum = 0;
    for (float value : x) sum += std::exp(static_cast<long double>(value));
    const double log_sum = log_sum_exp(x);
    EXPECT_NEAR(log_sum, static_cast<double>(std::log(sum)), 1e-12);
    const std::vector<std::size_t> order = descending(x);
    const std::size_t place = rng.below(x.size());
    const TokenLogprob found = token_logprob(x, log_sum, static_cast<TokenId>(order[place]));
    EXPECT_EQ(found.rank, static_cast<int32_t>(place) + 1);
    top.assign(rng.below(x.size() + 1), {});
    top_logprobs(x, log_sum, top, &scratch);
    for (std::size_t i = 0; i < top.size(); ++i) {
      ASSERT_EQ(top[i].id, static_cast<TokenId>(order[i])) << i;
      ASSERT_EQ(top[i].logprob, static_cast<float>(static_cast<double>(x[order[i]]) - log_sum));
    }
  }
}

}  // namespace
}  // namespace pagoda
