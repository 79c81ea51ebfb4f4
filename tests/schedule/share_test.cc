// One client holds everything, another wants a little of it.
#include <string>

#include "tests/schedule/scheduler_fixture.h"

namespace pagoda {
namespace {

struct ShareCase {
  const char* name;
  SchedulingPolicy policy;
  int num_blocks;  // of 4 tokens
  int n;           // choices of each of the greedy one's requests
};

class ShareTest : public SchedulerTest, public ::testing::WithParamInterface<ShareCase> {
 protected:
  static constexpr uint64_t kGreedy = 1, kPolite = 2;
  void start(int max_num_seqs) {
    make({.max_num_seqs = max_num_seqs,
          .max_num_batched_tokens = 64,
          .max_model_len = 400,
          .policy = GetParam().policy},
         4, GetParam().num_blocks);
  }
  RequestId submit_of(uint64_t client, int num_prompt, int max_tokens, int n = 1) {
    tenant_ = client;
    return submit(num_prompt, max_tokens, n);
  }
  // Steps until this request has ended; counts what the others get meanwhile.
  int steps_until_end(RequestId id) {
    for (int i = 1; i < 3000; ++i) {
      step();
      for (const TokenEvent& event : take_events())
        if (event.id == id && event.finish != FinishReason::kNone) return i;
    }
    ADD_FAILURE() << "it waits for ever";
    return 3000;
  }
  uint64_t num_preemptions() const { return scheduler_->stats().num_preemptions; }
};

TEST_P(ShareTest, APoliteClientDoesNotWaitForAGreedyOnesSeats) {
  start(8);
  for (int i = 0; i < 40; ++i) submit_of(kGreedy, 8, 300, GetParam().n);
  for (int i = 0; i < 20; ++i) step();
  const uint64_t before = num_preemptions();
  int total = 0;
  for (int i = 0; i < 20; ++i) {
    const int steps = steps_until_end(submit_of(kPolite, 8, 4));
    EXPECT_LE(steps, 12) << "request " << i;
    total += steps;
    step();  // it thinks
  }
  if (GetParam().num_blocks > 1000) {  // else they push each other out for want of blocks, too
    EXPECT_LE(num_preemptions() - before, static_cast<uint64_t>(total + 20) / 64 + 1)
        << "a seat goes to and fro";
  }
}

TEST_P(ShareTest, SeatsAreSharedAlikeAndAllAreUsed) {
  start(8);
  for (int i = 0; i < 40; ++i) submit_of(kGreedy, 8, 300, GetParam().n);
  for (int i = 0; i < 4; ++i) step();
  for (int i = 0; i < 8; ++i) submit_of(kPolite, 8, 60);
  for (int i = 0; i < 12; ++i) step();
  int polite = 0;
  for (const TokenEvent& event : take_events()) polite += event.id > 40 && event.counts.num_output == 1;
  if (GetParam().num_blocks > 1000) {
    EXPECT_EQ(scheduler_->stats().num_running, 8);
    EXPECT_EQ(polite, 4);
    EXPECT_EQ(num_preemptions(), 4u);
  } else {
    EXPECT_GE(polite, 1);
  }
  for (int i = 0; i < 100000 && scheduler_->has_work(); ++i) step();
  int ended = 0;
  for (const TokenEvent& event : take_events()) ended += event.finish != FinishReason::kNone;
  EXPECT_EQ(ended, 40 * GetParam().n + 8) << "a client starves";
}

INSTANTIATE_TEST_SUITE_P(Table, ShareTest,
                         ::testing::Values(ShareCase{"fcfs", SchedulingPolicy::kFcfs, 4001, 1},
                                           ShareCase{"fcfs_forks", SchedulingPolicy::kFcfs, 4001, 12},
                                           ShareCase{"fcfs_few_blocks", SchedulingPolicy::kFcfs, 161, 1},
                                           ShareCase{"fair", SchedulingPolicy::kFair, 4001, 1},
                                           ShareCase{"fair_forks", SchedulingPolicy::kFair, 4001, 12},
                                           ShareCase{"fair_few_blocks", SchedulingPolicy::kFair, 161, 1},
                                           ShareCase{"priority", SchedulingPolicy::kPriority, 4001, 1},
                                           ShareCase{"priority_forks", SchedulingPolicy::kPriority, 4001,
                                                     12}),
                         [](const auto& param) { return std::string(param.param.name); });

using TurnsTest = SchedulerTest;

// Nothing runs yet: then all waiting ones are admitted by turns, and one client alone by arrival.
TEST_F(TurnsTest, ClientsTakeTurnsAndOneAloneGoesByArrival) {
  for (bool alone : {true, false}) {
    make({.max_num_seqs = 1, .max_num_batched_tokens = 64, .max_model_len = 80});
    std::vector<RequestId> ids, order;
    for (int i = 0; i < 6; ++i) {
      tenant_ = alone ? 1 : i < 4 ? 1 : 2;
      ids.push_back(submit(4, 1));
    }
    while (scheduler_->has_work()) {
      step();
      for (const NewRow& row : plan_->new_rows) order.push_back(row.id);
    }
    const std::vector<RequestId> turns{ids[0], ids[4], ids[1], ids[5], ids[2], ids[3]};
    EXPECT_EQ(order, alone ? ids : turns);
  }
}

TEST_F(TurnsTest, ThePriorityOfAnotherIsNotTakenBack) {
  make({.max_num_seqs = 2,
        .max_num_batched_tokens = 64,
        .max_model_len = 80,
        .policy = SchedulingPolicy::kPriority});
  tenant_ = 1;
  for (int i = 0; i < 3; ++i) submit(4, 20);
  step();
  tenant_ = 2;
  priority_ = 1;  // less important
  submit(4, 2);
  for (int i = 0; i < 10; ++i) step();
  EXPECT_EQ(scheduler_->stats().num_preemptions, 0u);
}

}  // namespace
}  // namespace pagoda
