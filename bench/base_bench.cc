// What it costs to hand a job to the compute pool and get it back: the floor under every op that is split.
#include <benchmark/benchmark.h>

#include <chrono>
#include <thread>

#include "base/cpu_plan.h"
#include "base/thread_pool.h"

namespace pagoda {
namespace {

// Back to back, as the ops of one step: the workers are awake.
void BM_EmptyJob(benchmark::State& state) {
  ComputePool pool(static_cast<int>(state.range(0)));
  for (auto _ : state) pool.run([](int worker) { benchmark::DoNotOptimize(worker); });
}
BENCHMARK(BM_EmptyJob)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();

// The same, each thread bound to a core of its own.
void BM_EmptyJobBound(benchmark::State& state) {
  const CpuPlan plan = *plan_cpus(CpuTopology::of_this_process(), {});
  CpuBinding as_caller(plan.compute.empty() ? plan.compute : std::vector<int>{plan.compute[0]});
  ComputePool pool(plan.num_threads, static_cast<int>(state.range(0)), plan.compute);
  for (auto _ : state) pool.run([](int worker) { benchmark::DoNotOptimize(worker); });
}
BENCHMARK(BM_EmptyJobBound)->ArgName("spin_us")->Arg(0)->Arg(20)->Arg(50)->UseRealTime();

// After a pause longer than the workers spin: they are asleep.
void BM_EmptyJobAfterSleep(benchmark::State& state) {
  ComputePool pool(static_cast<int>(state.range(0)));
  for (auto _ : state) {
    state.PauseTiming();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    state.ResumeTiming();
    pool.run([](int worker) { benchmark::DoNotOptimize(worker); });
  }
}
BENCHMARK(BM_EmptyJobAfterSleep)->ArgName("threads")->Arg(2)->Iterations(500)->UseRealTime();

}  // namespace
}  // namespace pagoda
