#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "base/cpu_plan.h"
#include "base/thread_pool.h"
#include "model/decoder.h"
#include "runner/input_batch.h"
#include "runner/kv_storage.h"
#include "runner/model_runner.h"
#include "runner/row_table.h"
#include "sample/sampler.h"

namespace pagoda {

// Logits are made for some rows at a time, in no more memory than this (or one row).
inline constexpr std::size_t kLogitsBytes = 64ull << 20;

// The compute pool and its scratch. One per engine; loads the weights first, then runs the steps.
struct CpuCompute {
  explicit CpuCompute(int num_threads) : pool(num_threads), stream(&pool) {}
  explicit CpuCompute(const CpuPlan& plan)
      : pool(plan.num_threads,
             plan.is_crowded        ? 0
             : plan.compute.empty() ? ComputePool::kSpinUs
                                    : ComputePool::kBoundSpinUs,
             plan.compute),
        stream(&pool) {}
  ComputePool pool;
  Stream stream;
};

struct CpuRunnerConfig {
  int32_t max_num_seqs = 0, max_num_batched_tokens = 0;
  int32_t block_size = 16, num_blocks = 0;  // including the null block
  DType kv_dtype = DType::kF32;             // F32, BF16, F16, I8
  std::size_t logits_bytes = kLogitsBytes;
};

// Runs plans on this machine's CPU: launch() notes, wait() computes on the calling thread and the pool. Where
// the pool is bound to CPUs, so is the thread that waits, from then on.
class CpuModelRunner : public ModelRunner {
 public:
  // Error kExhausted: no memory for the cache or the activations.
  static Result<std::unique_ptr<ModelRunner>> create(const CpuRunnerConfig& config,
                                                     std::unique_ptr<CpuCompute> compute,
                                                     std::unique_ptr<Decoder> decoder);

  Status launch(const StepPlan& plan) override;
  Status wait(uint64_t step_id, StepResult* result) override;
  int32_t vocab_size() const override { return static_cast<int32_t>(decoder_->config().vocab_size); }
  // Random numbers in every slot of the cache, for benchmarks of long contexts that nobody computed.
  void fill_kv_for_benchmark();

 private:
  CpuModelRunner(const CpuRunnerConfig& config, std::unique_ptr<CpuCompute> compute,
                 std::unique_ptr<Decoder> decoder, KvStorage storage);
  StepResult run(const StepPlan& plan);
  void copy_blocks(const StepPlan& plan);
  std::vector<SampleOutput> sample(const StepPlan& plan);
  SampleInput sample_input(const StepPlan& plan, const SampleWork& work, std::span<const float> logits);

  CpuRunnerConfig config_;
  std::unique_ptr<CpuCompute> compute_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<int32_t> windows_;  // by group
  KvStorage storage_;
  RowTable rows_;
  InputBatch batch_;
  Activations activations_;
  Sampler sampler_;
  Buffer logits_;
  std::deque<const StepPlan*> in_flight_;
  Status failure_;  // sticky
};

}  // namespace pagoda
