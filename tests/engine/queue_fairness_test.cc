// Who is let in when the queue is full, and at whose cost.
#include <gtest/gtest.h>

#include <new>
#include <random>

#include "base/log.h"
#include "tests/engine/limiter_harness.h"
#include "tests/testing/failing_new.h"

namespace pagoda {
namespace {

using Rejection = AdmissionLimiter::Rejection;
using testing::LimiterHarness;

struct Comer {
  uint64_t tenant;
  int32_t choices;
  bool runs = false;
  uint64_t source = 0;
  uint32_t weight = 1;
};
struct FairCase {
  const char* what;
  std::vector<Comer> inside;  // a queue of 12, full; named by their index
  Comer comer;
  bool let_in;
  std::vector<int> lost;
};

TEST(QueueFairness, WhoIsLetInAndAtWhoseCost) {
  const FairCase cases[] = {
      {"one request of many choices", {{1, 12}}, {2, 1}, true, {0}},
      {"a flood: its newest goes", {{1, 5}, {1, 5}, {1, 2}}, {2, 1}, true, {2}},
      {"as many as are needed", {{1, 6}, {1, 3}, {1, 2}, {1, 1}}, {2, 5}, true, {3, 2, 1}},
      {"no more than a share", {{1, 6}, {1, 6}}, {2, 7}, false, {}},
      {"all of a share", {{1, 6}, {1, 6}}, {2, 6}, true, {1}},
      {"the same tenant again", {{1, 6}, {1, 6}}, {1, 1}, false, {}},
      {"equals", {{1, 6}, {2, 6}}, {1, 1}, false, {}},
      {"a third: at the greedier's cost", {{1, 7}, {1, 1}, {2, 4}}, {3, 1}, true, {1}},
      {"never at the smaller one's cost", {{1, 8, true}, {2, 1}, {2, 3}}, {3, 4}, true, {}},
      {"what runs stays: beyond the bound", {{1, 12, true}}, {2, 6}, true, {}},
      {"only by a share beyond it", {{1, 12, true}}, {2, 7}, false, {}},
      {"by weight", {{1, 8, false, 0, 2}, {2, 4}}, {1, 1, false, 0, 2}, false, {}},
      {"weight counts for the share", {{1, 6}, {1, 6}}, {2, 8, false, 0, 2}, true, {1, 0}},
      {"a source of one tenant", {{1, 10, false, 7}, {1, 2, false, 8}}, {1, 3, false, 9}, true, {0}},
      {"sources that are equal", {{1, 6, false, 7}, {1, 6, false, 8}}, {1, 1, false, 7}, false, {}},
      {"what runs stays, for a source", {{1, 12, true, 7}}, {1, 1, false, 8}, false, {}},
      {"not in vain, for a source",
       {{1, 2, false, 7}, {1, 9, true, 7}, {1, 1, false, 8}},
       {1, 4, false, 9},
       false,
       {}},
  };
  for (const FairCase& one : cases) {
    LimiterHarness queue(12, 0);
    for (std::size_t i = 0; i < one.inside.size(); ++i) {
      const Comer& in = one.inside[i];
      ASSERT_EQ(queue.come(static_cast<int>(i), in.choices, {in.tenant, in.weight, in.source}).rejection,
                Rejection::kNone);
      if (in.runs) queue.begin(static_cast<int>(i));
    }
    const Tenant tenant{one.comer.tenant, one.comer.weight, one.comer.source};
    EXPECT_EQ(queue.come(99, one.comer.choices, tenant).rejection == Rejection::kNone, one.let_in)
        << one.what;
    EXPECT_EQ(queue.lost, one.lost) << one.what;
    for (int name : queue.lost) {
      EXPECT_EQ(queue.holders[name].lost.rejection, Rejection::kChoices) << one.what;
      EXPECT_GE(queue.holders[name].lost.retry_after_ms, 1000) << one.what;
    }
  }
}

TEST(QueueFairness, TokensAreSharedToo) {
  LimiterHarness queue(100, 1000);
  const Tenant greedy{1}, polite{2};
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(queue.come(i, 1, greedy).rejection, Rejection::kNone);
    ASSERT_EQ(queue.tokens(i, 100).rejection, Rejection::kNone);
  }
  EXPECT_EQ(queue.come(10, 1, greedy).rejection, Rejection::kTokens);
  ASSERT_EQ(queue.come(11, 1, polite).rejection, Rejection::kNone);
  EXPECT_TRUE(queue.lost.empty()) << "not before it is known how many";
  ASSERT_EQ(queue.tokens(11, 250).rejection, Rejection::kNone);
  EXPECT_EQ(queue.lost, (std::vector<int>{9, 8, 7}));
  EXPECT_EQ(queue.holders[9].lost.rejection, Rejection::kTokens);
  // A prompt can not be divided: one alone may be more than a share.
  const Tenant third{3};
  ASSERT_EQ(queue.come(12, 1, third).rejection, Rejection::kNone);
  EXPECT_EQ(queue.tokens(12, 400).rejection, Rejection::kNone);
  EXPECT_EQ(queue.tokens(12, 400).rejection, Rejection::kTokens);
  EXPECT_EQ(queue.limiter.num_choices(), 10 + 2 - static_cast<int>(queue.lost.size()));
}

// Who is not tokenized yet, or has no tokens at all, has none to give.
TEST(QueueFairness, WhoHoldsNoTokensKeepsItsPlace) {
  struct Case {
    const char* what;
    std::vector<int64_t> greedy;  // tokens of each of its requests, by arrival; 0: not known yet
    int64_t wanted;
    int num_running;  // the first so many
    std::vector<int> lost;
  } cases[] = {
      {"behind one that does", {500, 500, 0, 0}, 300, 0, {1}},
      {"between those that do", {300, 0, 300, 0, 400, 0}, 500, 0, {4, 2}},
      {"all that hold some run", {1000, 0, 0}, 400, 1, {}},
  };
  for (const Case& one : cases) {
    LimiterHarness queue(100, 1000);
    for (int i = 0; i < static_cast<int>(one.greedy.size()); ++i) {
      ASSERT_EQ(queue.come(i, 1, {1}).rejection, Rejection::kNone) << one.what;
      if (i < one.num_running) queue.begin(i);
    }
    ASSERT_EQ(queue.come(99, 1, {2}).rejection, Rejection::kNone) << one.what;
    for (int i = 0; i < static_cast<int>(one.greedy.size()); ++i)
      ASSERT_EQ(queue.tokens(i, one.greedy[static_cast<std::size_t>(i)]).rejection, Rejection::kNone)
          << one.what;
    EXPECT_EQ(queue.tokens(99, one.wanted).rejection, Rejection::kNone) << one.what;
    EXPECT_EQ(queue.lost, one.lost) << one.what;
  }
}

// A callback that fails is its own affair: the others are told, and the newcomer is in.
TEST(QueueFairness, OneThatCanNotBeToldHarmsNobody) {
  AdmissionLimiter limiter(2, 0);
  const Time now = Time{} + std::chrono::hours(1);
  std::shared_ptr<QueueClaim> claims[3];
  int num_told = 0;
  auto fails = [&num_told](const AdmissionLimiter::Admission&) {
    ++num_told;
    throw std::bad_alloc();
  };
  set_log_level(LogLevel::kOff);
  for (int i = 0; i < 2; ++i)
    ASSERT_EQ(limiter.try_acquire_choices({1}, 1, now, fails, &claims[i]).rejection, Rejection::kNone);
  EXPECT_EQ(limiter.try_acquire_choices({2}, 1, now, {}, &claims[2]).rejection, Rejection::kNone);
  set_log_level(LogLevel::kInfo);
  EXPECT_EQ(num_told, 1);
  ASSERT_NE(claims[2], nullptr);
  for (const auto& claim : claims) limiter.give_back(claim.get(), 1, 0, true, false, now);
  EXPECT_EQ(limiter.num_choices(), 0);
}

// Whichever allocation of a newcomer fails: none has lost anything by it, and the accounts are as they were.
TEST(QueueFairness, WithoutMemoryTheBooksStayAsTheyWere) {
  if (!can_allocations_fail()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  int k = 0;
  for (bool failed = true; failed; ++k) {
    ASSERT_LT(k, 100);
    LimiterHarness queue(4, 0);
    for (int i = 0; i < 4; ++i) ASSERT_EQ(queue.come(i, 1, {1}).rejection, Rejection::kNone);
    std::shared_ptr<QueueClaim> claim;
    allocations_may_fail = true;
    allocations_until_failure = k;
    try {
      EXPECT_EQ(queue.limiter.try_acquire_choices({2}, 2, queue.now, {}, &claim).rejection, Rejection::kNone);
      failed = false;
    } catch (const std::bad_alloc&) {
      EXPECT_TRUE(queue.lost.empty()) << k;
    }
    allocations_until_failure = -1;
    allocations_may_fail = false;
    EXPECT_EQ(queue.limiter.num_choices(), 4);
    if (claim != nullptr) queue.limiter.give_back(claim.get(), 2, 0, true, false, queue.now);
    ASSERT_EQ(queue.come(50, 2, {3}).rejection, Rejection::kNone)
        << "the newcomer has left nothing behind: " << k;
    for (int name : {0, 1, 2, 3, 50}) queue.go(name);
    EXPECT_EQ(queue.limiter.num_choices(), 0) << k;
  }
  EXPECT_GT(k, 4) << "nothing has failed";
}

TEST(QueueFairness, WhoHasLostItsPlacesGetsNoMore) {
  LimiterHarness queue(4, 100);
  ASSERT_EQ(queue.come(0, 4, {1}).rejection, Rejection::kNone);
  ASSERT_EQ(queue.come(1, 1, {2}).rejection, Rejection::kNone);
  ASSERT_FALSE(queue.has(0));
  EXPECT_EQ(queue.tokens(0, 1).rejection, Rejection::kChoices) << "it loses for want of what the other got";
  queue.begin(0);  // it may have begun meanwhile
  queue.go(0);
  EXPECT_EQ(queue.limiter.num_choices(), 1) << "given back once, not twice";
}

// Tenants of all sizes come, run and go at random. A tenant that asks for no more than its share gets it; one
// that gives way held more, by weight, than the newcomer then holds; the accounting is right at any time.
TEST(QueueFairness, HoldsInRandomCrowds) {
  std::mt19937 random(20);
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  int num_displaced = 0, num_refused = 0;
  for (int world = 0; world < 200; ++world) {
    const int32_t capacity = 1 + below(40);
    LimiterHarness queue(capacity, 0);
    const int num_tenants = 1 + below(6);
    std::vector<uint32_t> weights;
    for (int i = 0; i < num_tenants; ++i) weights.push_back(1 + static_cast<uint32_t>(below(3)));
    for (int step = 0; step < 300; ++step) {
      if (below(3) == 0 && !queue.holders.empty()) {
        auto holder = std::next(queue.holders.begin(), below(static_cast<int>(queue.holders.size())));
        if (below(2) == 0 && !holder->second.begun && queue.has(holder->first))
          queue.begin(holder->first);
        else
          queue.go(holder->first);
        continue;
      }
      const auto key = static_cast<uint64_t>(below(num_tenants));
      const uint32_t weight = weights[key];
      const Tenant tenant{key + 1, weight, static_cast<uint64_t>(below(3))};
      const int32_t choices = 1 + (below(4) == 0 ? below(capacity) : 0);
      std::map<uint64_t, int64_t> before;
      double weight_sum = weight;
      for (uint64_t other = 1; other <= static_cast<uint64_t>(num_tenants); ++other) {
        before[other] = queue.held(other);
        if (other != tenant.key && before[other] > 0) weight_sum += weights[other - 1];
      }
      const int64_t after = before[tenant.key] + choices, held = queue.limiter.num_choices();
      const std::size_t num_lost = queue.lost.size();
      const bool in = queue.come(step + 1000, choices, tenant).rejection == Rejection::kNone;
      num_refused += !in;
      if (!in) {
        EXPECT_GT(held + choices, capacity) << "refused though there was room";
        EXPECT_TRUE(static_cast<double>(after) > capacity * weight / weight_sum ||
                    held + choices > 2 * capacity)
            << "refused within its share";
      }
      for (std::size_t i = num_lost; i < queue.lost.size(); ++i) {
        const LimiterHarness::Holder& loser = queue.holders.at(queue.lost[i]);
        EXPECT_FALSE(loser.begun) << "what runs is left to its end";
        ++num_displaced;
        if (loser.tenant.key == tenant.key) {
          EXPECT_NE(loser.tenant.source, tenant.source);
        } else {
          EXPECT_GT(static_cast<double>(before[loser.tenant.key]) / loser.tenant.weight,
                    static_cast<double>(after) / weight);
        }
      }
      int64_t sum = 0;
      for (uint64_t other = 1; other <= static_cast<uint64_t>(num_tenants); ++other) sum += queue.held(other);
      ASSERT_EQ(queue.limiter.num_choices(), sum);
      ASSERT_LE(sum, 2 * capacity);
    }
    while (!queue.holders.empty()) queue.go(queue.holders.begin()->first);
    ASSERT_EQ(queue.limiter.num_choices(), 0);
  }
  EXPECT_GT(num_displaced, 500);
  EXPECT_GT(num_refused, 5000);
}

}  // namespace
}  // namespace pagoda
