#include "schedule/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "base/rng.h"

namespace pagoda {
namespace {

std::vector<const Sequence*> forward(const SequenceQueue& queue) {
  std::vector<const Sequence*> out;
  for (const Sequence* seq = queue.front(); seq != nullptr; seq = seq->next) out.push_back(seq);
  return out;
}

TEST(SequenceQueue, StaysInOrderOfRank) {
  std::vector<Sequence> all(30);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].rank = {static_cast<int64_t>(i * 7 % 3), i};
  SequenceQueue queue;
  std::deque<const Sequence*> model;
  SplitMix64 random(3);
  for (int step = 0; step < 5000; ++step) {
    Sequence* seq = &all[random.below(all.size())];
    auto place = std::find(model.begin(), model.end(), seq);
    if (place != model.end()) {
      queue.remove(seq);
      model.erase(place);
      continue;
    }
    queue.insert(seq);
    auto later =
        std::find_if(model.begin(), model.end(), [&](auto* other) { return seq->rank < other->rank; });
    model.insert(later, seq);
    ASSERT_EQ(forward(queue), std::vector<const Sequence*>(model.begin(), model.end()));
    ASSERT_EQ(queue.size(), static_cast<int>(model.size()));
    ASSERT_EQ(queue.empty(), model.empty());
  }
}

TEST(RowPool, GivesTheLowestRowAndAnnouncesWhatIsFreed) {
  RowPool rows(3);
  Sequence a, b, c;
  rows.take(&a);
  rows.take(&b);
  rows.take(&c);
  EXPECT_EQ(rows.num_free(), 0);
  EXPECT_EQ(a.row, 0);
  EXPECT_EQ(c.row, 2);
  EXPECT_EQ(rows.owner(1), &b);
  rows.give_back(&c);
  rows.give_back(&a);
  EXPECT_EQ(a.row, -1);
  EXPECT_EQ(rows.owner(0), nullptr);
  std::vector<int32_t> freed;
  rows.announce_freed(&freed);
  EXPECT_EQ(freed, (std::vector<int32_t>{2, 0}));
  freed.clear();
  rows.announce_freed(&freed);
  EXPECT_TRUE(freed.empty());
  rows.take(&c);
  EXPECT_EQ(c.row, 0);
}

}  // namespace
}  // namespace pagoda
