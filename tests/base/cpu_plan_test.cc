#include "base/cpu_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/env.h"
#include "base/thread_pool.h"

namespace pagoda {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// `cores` physical cores over `nodes` NUMA nodes. As Linux numbers them: first threads first, then second
// ones.
CpuTopology machine(int cores, int threads_per_core = 1, int nodes = 1) {
  CpuTopology topology;
  for (int id = 0; id < cores * threads_per_core; ++id)
    topology.cpus.push_back({id, id % cores, id % cores * nodes / cores});
  return topology;
}

TEST(CpuList, Reads) {
  EXPECT_THAT(*parse_cpu_list("0"), ElementsAre(0));
  EXPECT_THAT(*parse_cpu_list("0-3,8,10"), ElementsAre(0, 1, 2, 3, 8, 10));
  EXPECT_THAT(*parse_cpu_list("5,1-2"), ElementsAre(5, 1, 2));  // in the order given
  EXPECT_EQ(cpu_list_text({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10,11");
  EXPECT_EQ(cpu_list_text({}), "");
}

TEST(CpuList, RefusesWhatIsNone) {
  const std::pair<const char*, const char*> cases[] = {{"", "numbers and ranges"},
                                                       {"a", "numbers and ranges"},
                                                       {"0,", "numbers and ranges"},
                                                       {",0", "numbers and ranges"},
                                                       {"0;1", "numbers and ranges"},
                                                       {"-1", "numbers and ranges"},
                                                       {"1-", "ends with a number"},
                                                       {"1--2", "ends with a number"},
                                                       {"3-1", "ascends"},
                                                       {"0-3,2", "CPU 2 is named twice"},
                                                       {"0-99999", "no CPU has the number 99999"},
                                                       {"99999999999999", "numbers and ranges"},
                                                       {"0 1", "numbers and ranges"},
                                                       {"0-2147483647", "no CPU"}};
  for (auto [text, why] : cases) {
    Result<std::vector<int>> cpus = parse_cpu_list(text);
    ASSERT_FALSE(cpus.ok()) << text;
    EXPECT_EQ(cpus.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(cpus.status().message(), HasSubstr(why)) << text;
  }
}

TEST(CpuPlan, BindsOneThreadToEachCore) {
  CpuPlan plan = *plan_cpus(machine(2), {});
  EXPECT_EQ(plan.num_threads, 2);
  EXPECT_THAT(plan.compute, ElementsAre(0, 1));
  EXPECT_THAT(plan.spare, IsEmpty());
  EXPECT_EQ(plan.description(), "2 compute threads on CPUs 0,1");

  plan = *plan_cpus(machine(4, 2), {.cpu_list = "auto"});
  EXPECT_THAT(plan.compute, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(plan.spare, ElementsAre(4, 5, 6, 7));  // nothing better than second hardware threads
  EXPECT_EQ(plan.description(), "4 compute threads on CPUs 0-3, the other threads on 4-7");
}

TEST(CpuPlan, NeighboursOfANodeStayTogether) {
  CpuTopology topology;  // even CPUs on one node, odd ones on the other
  for (int id = 0; id < 6; ++id) topology.cpus.push_back({id, id, id % 2});
  EXPECT_THAT(plan_cpus(topology, {})->compute, ElementsAre(0, 2, 4, 1, 3, 5));
  EXPECT_EQ(plan_cpus(topology, {})->num_numa_nodes, 2);
}

TEST(CpuPlan, LeavesThePlacingToTheSystemWhereCoresAreShared) {
  CpuTopology limited = machine(8);
  limited.quota = 2.5;
  CpuPlan plan = *plan_cpus(limited, {});
  EXPECT_EQ(plan.num_threads, 3);
  EXPECT_THAT(plan.compute, IsEmpty());
  limited.quota = 0.5;
  EXPECT_EQ(plan_cpus(limited, {})->num_threads, 1);
  plan = *plan_cpus(machine(8), {.num_threads = 4});
  EXPECT_EQ(plan.num_threads, 4);
  EXPECT_THAT(plan.compute, IsEmpty());
  EXPECT_FALSE(plan.is_crowded);
  EXPECT_EQ(plan.description(), "4 compute threads, not bound to CPUs");
  plan = *plan_cpus(machine(2), {.cpu_list = "nobind"});
  EXPECT_EQ(plan.num_threads, 2);
  EXPECT_THAT(plan.compute, IsEmpty());
  plan = *plan_cpus(machine(2), {.num_threads = 5});
  EXPECT_EQ(plan.num_threads, 5);
  EXPECT_TRUE(plan.is_crowded);
}

TEST(CpuPlan, AListIsTakenAtItsWord) {
  CpuPlan plan = *plan_cpus(machine(4, 2), {.cpu_list = "1,5,0"});
  EXPECT_EQ(plan.num_threads, 3);
  EXPECT_THAT(plan.compute, ElementsAre(1, 5, 0));
  EXPECT_THAT(plan.spare, ElementsAre(2, 3, 6, 7));  // the cores that do not compute
  plan = *plan_cpus(machine(4), {.cpu_list = "0-3", .num_threads = 2});
  EXPECT_THAT(plan.compute, ElementsAre(0, 1));
  EXPECT_THAT(plan.spare, ElementsAre(2, 3));
}

TEST(CpuPlan, RefusesWhatTheMachineHasNot) {
  Result<CpuPlan> plan = plan_cpus(machine(4), {.cpu_list = "2-6"});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.status().message(),
            "CPU list '2-6': CPUs 4-6 do not exist or are not for this process, which may use 0-3");
  plan = plan_cpus(machine(4), {.cpu_list = "0,1", .num_threads = 3});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.status().message(), "3 threads are more than the 2 CPUs of --cpu-list 0,1");
  EXPECT_FALSE(plan_cpus(machine(4), {.cpu_list = "all"}).ok());
}

TEST(CpuPlan, OfThisProcess) {
  CpuTopology topology = CpuTopology::of_this_process();
  ASSERT_FALSE(topology.cpus.empty());
  EXPECT_EQ(topology.cpus.size(), allowed_cpus().size());
  EXPECT_GE(plan_cpus(topology, {})->num_threads, 1);
  EXPECT_EQ(plan_cpus(topology, {})->num_threads, usable_cpu_count());
}

TEST(CpuBinding, HoldsForItsLifeAndForThreadsStartedInIt) {
  const std::vector<int> before = allowed_cpus(), one = {before.back()};
  {
    CpuBinding binding(one);
    EXPECT_EQ(allowed_cpus(), one);
    std::vector<int> inherited;
    std::thread([&] { inherited = allowed_cpus(); }).join();
    EXPECT_EQ(inherited, one);
    CpuBinding nothing({});
    EXPECT_EQ(allowed_cpus(), one);
  }
  EXPECT_EQ(allowed_cpus(), before);
}

TEST(CpuBinding, ThePoolBindsItsWorkersAndAtRequestTheCaller) {
  const std::vector<int> all = allowed_cpus(), cpus = {all.back(), all.front()};
  std::thread([&] {
    ComputePool pool(2, 50, cpus);
    std::vector<std::vector<int>> seen(2);
    auto look = [&](int worker) { seen[static_cast<std::size_t>(worker)] = allowed_cpus(); };
    pool.run(look);
    EXPECT_EQ(seen[0], all);
    EXPECT_THAT(seen[1], ElementsAre(cpus[1]));
    pool.bind_caller();
    pool.run(look);
    EXPECT_THAT(seen[0], ElementsAre(cpus[0]));
  }).join();
  EXPECT_EQ(allowed_cpus(), all);
}

}  // namespace
}  // namespace pagoda
