// What a step of many running sequences costs beside the model: Scheduler::plan and commit, and the runner's
// bookkeeping (rows, block tables, flat batch, token histories). 256 sequences that decode, contexts from
// about 1000 tokens up; nothing is computed, every sequence is given the same made-up token.
//   us_schedule: plan + commit; us_rows: RowTable::apply + InputBatch::build + the histories; Time is both.
//   in_flight: plans made and not committed, at most.
#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "runner/input_batch.h"
#include "runner/row_table.h"
#include "schedule/scheduler.h"
#include "tests/testing/kv_specs.h"
#include "tests/testing/scheduler_config.h"

namespace pagoda {
namespace {

constexpr int32_t kNumSeqs = 256, kPrompt = 1000, kSteps = 1000, kBlockSize = 16, kVocab = 32000;
constexpr int32_t kMaxModelLen = 4096;
constexpr int32_t kNumBlocks = kNumSeqs * ((kPrompt + kSteps + 512) / kBlockSize);

double seconds_since(Time start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

ModelConfig model_of(int num_groups) {
  ModelConfig config;
  config.vocab_size = kVocab;
  for (int i = 0; i < num_groups; ++i) config.layers.push_back({.attention = {.window = i == 0 ? 0 : 1024}});
  return config;
}

class Loop {
 public:
  Loop(bool prefix_cache, int num_groups, int max_in_flight)
      : kv_(groups_of(num_groups), kNumBlocks * num_groups, PrefixCacheConfig{.enabled = prefix_cache}),
        scheduler_(scheduler_config(max_in_flight), &kv_),
        rows_({.max_num_seqs = kNumSeqs,
               .max_model_len = kMaxModelLen,
               .block_size = kBlockSize,
               .num_blocks = kNumBlocks * num_groups,
               .num_groups = static_cast<std::size_t>(num_groups)},
              cpu_memory()),
        batch_(model_of(num_groups), groups_of(num_groups), kMaxModelLen, cpu_memory()) {
    for (int32_t i = 0; i < kNumSeqs; ++i) submit(i);
    if (max_in_flight > 1) in_flight_ = &scheduler_.plan(std::chrono::steady_clock::now(), &events_);
    do step();
    while (num_tokens_ > kNumSeqs || num_samples_ < kNumSeqs);  // until all decode
    schedule_s_ = rows_s_ = 0;
  }

  // Seconds of scheduler and runner.
  double step() {
    const Time planning = std::chrono::steady_clock::now();
    StepPlan& newest = scheduler_.plan(planning, &events_);
    double spent = seconds_since(planning);
    StepPlan& plan = in_flight_ == nullptr ? newest : *std::exchange(in_flight_, &newest);

    const Time booking = std::chrono::steady_clock::now();
    rows_.apply(plan);
    batch_.build(plan, &rows_);
    for (const SampleWork& sample : plan.samples) rows_.alive(sample.row).history.append(kToken);
    const double rows_s = seconds_since(booking);
    benchmark::DoNotOptimize(batch_.inputs().positions);

    result_.step_id = plan.step_id;
    result_.token.assign(plan.samples.size(), kToken);
    result_.logprob.assign(plan.samples.size(), 0);
    result_.rank.assign(plan.samples.size(), 0);
    result_.bad.assign(plan.samples.size(), 0);
    result_.top_begin.assign(plan.samples.size() + 1, 0);
    result_.num_accepted.assign(plan.work.size(), 0);
    num_tokens_ = plan.num_tokens;
    num_samples_ = static_cast<int32_t>(plan.samples.size());

    const Time committing = std::chrono::steady_clock::now();
    scheduler_.commit(plan, result_, committing, &events_);
    spent += seconds_since(committing);
    for (const TokenEvent& event : events_)
      PAGODA_CHECK(event.finish == FinishReason::kNone, "no sequence ends while it is measured");
    events_.clear();
    schedule_s_ += spent;
    rows_s_ += rows_s;
    return spent + rows_s;
  }
  double schedule_s() const { return schedule_s_; }
  double rows_s() const { return rows_s_; }
  int32_t num_tokens() const { return num_tokens_; }

 private:
  static constexpr TokenId kToken = 7;
  static std::vector<KvGroupSpec> groups_of(int num_groups) {
    std::vector<KvGroupSpec> groups;
    for (int i = 0; i < num_groups; ++i)
      groups.push_back(i == 0 ? testing::full_group(kBlockSize) : testing::window_group(kBlockSize, 1024));
    return groups;
  }
  static SchedulerConfig scheduler_config(int max_in_flight) {
    return testing::countable({.max_num_seqs = kNumSeqs,
                               .max_in_flight = max_in_flight,
                               .max_num_batched_tokens = 2048,
                               .max_model_len = kMaxModelLen});
  }
  void submit(int32_t index) {
    auto request = std::make_unique<Request>();
    request->id = static_cast<RequestId>(index) + 1;
    std::vector<TokenId> prompt;
    for (int32_t i = 0; i < kPrompt; ++i) prompt.push_back((index * 7919 + i * 104729) % kVocab & ~1);
    request->prompt = std::move(prompt);
    request->params.max_tokens = kMaxModelLen - kPrompt;
    request->params.temperature = 0;
    request->arrival = std::chrono::steady_clock::now();
    const Time arrival = request->arrival;
    scheduler_.submit(std::move(request), arrival, &events_);
  }

  KvManager kv_;
  Scheduler scheduler_;
  RowTable rows_;
  InputBatch batch_;
  StepResult result_;
  std::vector<TokenEvent> events_;
  int32_t num_tokens_ = 0, num_samples_ = 0;
  StepPlan* in_flight_ = nullptr;  // where two plans are in flight: the older one
  double schedule_s_ = 0, rows_s_ = 0;
};

void BM_DecodeStep(benchmark::State& state) {
  Loop loop(state.range(0) != 0, static_cast<int>(state.range(1)), static_cast<int>(state.range(2)));
  for (auto _ : state) state.SetIterationTime(loop.step());
  PAGODA_CHECK(loop.num_tokens() == kNumSeqs, "every sequence has a token in every step");
  const double steps = static_cast<double>(state.iterations());
  state.counters["us_schedule"] = loop.schedule_s() / steps * 1e6;
  state.counters["us_rows"] = loop.rows_s() / steps * 1e6;
}
BENCHMARK(BM_DecodeStep)
    ->ArgNames({"prefix_cache", "groups", "in_flight"})
    ->ArgsProduct({{0, 1}, {1, 2}, {1, 2}})
    ->Iterations(kSteps)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace pagoda
