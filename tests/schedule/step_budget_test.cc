#include "schedule/step_budget.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace pagoda {
namespace {

StepDemand demand_of(int decoding, int context, int prefilling, int computed) {
  StepDemand demand;
  for (int i = 0; i < decoding; ++i) demand.decodes.add_decode(context);
  demand.num_decoding = decoding;
  demand.num_prefilling = prefilling;
  demand.prefill_context = computed;
  return demand;
}

// A machine that takes true_ms(shape), and now and then much more.
struct Machine {
  explicit Machine(uint64_t seed) : random(seed) {}
  double true_ms(const StepShape& shape) const {
    return std::max(30., 1.7 * static_cast<double>(shape.num_tokens)) +
           2e-4 * static_cast<double>(shape.decode_context) + 3e-5 * shape.prefill_pairs;
  }
  double ms(const StepShape& shape) {
    const double noise = random.below(50) == 0 ? 1.7 : 1 + 0.1 * random.uniform();
    return true_ms(shape) * noise;
  }
  SplitMix64 random;
};

// Steps of `budget` on the machine while one prompt after the other is read: the steps, and how many of them
// broke the limit; tokens of prompts.
struct Outcome {
  int steps = 0, broken = 0;
  int64_t tokens = 0;
};
Outcome run(StepBudget* budget, Machine* machine, int num_decoding, double limit_ms, int warm_up, int count) {
  Outcome out;
  int computed = 0;
  for (int i = 0; i < count; ++i) {
    StepDemand demand = demand_of(num_decoding, 500, 1, computed);
    const int chunk = budget->prefill_tokens(demand);
    StepShape shape = demand.decodes;
    shape.add_prefill(computed, chunk);
    computed = computed > 8000 ? 0 : computed + chunk;
    const double ms = machine->ms(shape);
    budget->observe(shape, ms);
    if (i < warm_up) continue;
    ++out.steps;
    out.broken += ms > limit_ms;
    out.tokens += chunk;
  }
  return out;
}

TEST(StepBudget, KeepsTheLatencyBoundOnANoisyMachine) {
  SchedulerConfig config{.max_num_batched_tokens = 512, .adaptive_chunks = true, .itl_slo_ms = 150};
  for (uint64_t seed : {1, 2, 3}) {
    StepBudget budget(config);
    Machine machine(seed);
    const Outcome seen = run(&budget, &machine, 16, 150, 50, 5000);
    EXPECT_LT(seen.broken, seen.steps / 100) << seed;
    EXPECT_GT(seen.tokens / seen.steps, 20) << "prompts get what is left";
  }
}

TEST(StepBudget, WithoutABoundDecodingSlowsDownToAboutHalf) {
  SchedulerConfig config{.max_num_batched_tokens = 512, .adaptive_chunks = true};
  StepBudget budget(config);
  Machine machine(7);
  for (int i = 0; i < 40; ++i) {
    const StepShape alone = demand_of(16, 480 + i, 0, 0).decodes;
    budget.observe(alone, machine.ms(alone));
  }
  run(&budget, &machine, 16, 1e9, 0, 300);
  for (int computed : {0, 2000, 8000}) {
    StepDemand demand = demand_of(16, 500, 1, computed);
    StepShape shape = demand.decodes;
    shape.add_prefill(computed, budget.prefill_tokens(demand));
    const double slowdown = machine.true_ms(shape) / machine.true_ms(demand.decodes);
    EXPECT_GT(slowdown, 1.3) << computed;
    EXPECT_LT(slowdown, 2.2) << computed;
  }
  EXPECT_GT(budget.prefill_tokens(demand_of(16, 500, 64, 0)),
            3 * budget.prefill_tokens(demand_of(16, 500, 1, 0)))
      << "a crowd that waits is let in";
}

TEST(StepBudget, GivesTheWholeStepWhereNobodyDecodes) {
  for (bool by_time : {false, true}) {
    SchedulerConfig config{.max_num_batched_tokens = 512, .adaptive_chunks = by_time, .itl_slo_ms = 50};
    StepBudget budget(config);
    EXPECT_EQ(budget.prefill_tokens(demand_of(0, 0, 3, 0)), 512);
    EXPECT_TRUE(budget.has_room_for_more(demand_of(0, 0, 3, 0)));
  }
  SchedulerConfig fixed{.max_num_batched_tokens = 512, .adaptive_chunks = false};
  EXPECT_EQ(StepBudget(fixed).prefill_tokens(demand_of(12, 100, 1, 0)), 500);
}

TEST(StepBudget, ABoundThatIsBrokenAlreadyLetsNobodyIn) {
  SchedulerConfig config{.max_num_batched_tokens = 512, .adaptive_chunks = true, .itl_slo_ms = 40};
  StepBudget budget(config);
  Machine machine(7);
  run(&budget, &machine, 4, 1e9, 0, 100);
  EXPECT_FALSE(budget.has_room_for_more(demand_of(64, 500, 1, 0)));
  EXPECT_EQ(budget.prefill_tokens(demand_of(64, 500, 1, 0)), 16) << "a prompt that is being read goes on";
}

}  // namespace
}  // namespace pagoda
