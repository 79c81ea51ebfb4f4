#pragma once
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "decoder/decoder.h"
#include "kv_offload/offload_worker.h"
#include "runner/input_batch.h"
#include "runner/kv_storage.h"
#include "runner/model_runner.h"
#include "runner/row_table.h"
#include "runner/runner_config.h"
#include "sample/sampler.h"
#include "tensor/staged_array.h"

namespace pagoda {

// Runs plans on one device of this process: launch() notes, wait() issues the ops and waits for them. Where
// the stream's pool is bound to CPUs, so is the thread that waits, from then on. Reads and writes the
// device's memory through ops and copies alone.
//
// A step asks for no memory beside what the ops' scratch grows by: rows, batch, samples and results keep
// theirs. A row does when it begins.
//
// sleep(): both levels drop the weights and the activations, and give the cache's pages back to the system;
// nothing is kept in memory on purpose, for on a CPU the files (or the packed ones) are in the page cache
// anyway if there is room. wake() loads them as at the start: its errors are those of loading, and of files
// that are gone or no longer the same.
class LocalModelRunner : public ModelRunner {
 public:
  // Error kExhausted: no memory for the cache or the activations.
  static Result<std::unique_ptr<ModelRunner>> create(const RunnerSizes& sizes,
                                                     std::unique_ptr<ComputeStream> stream,
                                                     std::unique_ptr<Decoder> decoder,
                                                     DecoderLoader reload = {}, OffloadConfig offload = {});

  Status launch(const StepPlan& plan) override;
  Status wait(uint64_t step_id, StepResult* result) override;
  int32_t vocab_size() const override { return static_cast<int32_t>(model_.vocab_size); }
  int32_t max_in_flight() const override { return 2; }
  Status sleep(int level) override;
  Status wake() override;
  bool is_sleeping() const override { return decoder_ == nullptr; }
  void take_ended_moves(std::vector<OffloadMoveEnd>* ended) override;
  void on_move_end(std::function<void()> wake) override;
  // Random numbers in every slot of the cache, for benchmarks of long contexts.
  void fill_kv_for_benchmark();

 private:
  LocalModelRunner(const RunnerSizes& sizes, std::span<const KvGroupSpec> groups,
                   std::unique_ptr<ComputeStream> stream, std::unique_ptr<Decoder> decoder,
                   DecoderLoader reload, KvStorage storage);
  void run(const StepPlan& plan, StepResult* result);
  // ---- step_compute.cc
  void begin_result(const StepPlan& plan, StepResult* result);
  bool compute(const StepPlan& plan, StepResult* result);
  void make_room_for_top(const StepPlan& plan, StepResult* result);
  std::size_t make_room_for_logits(std::size_t num_wanted);
  std::size_t num_top(const SampleWork& work);
  void drop_largest(const StepPlan& plan, StepResult* result);
  void sample(const StepPlan& plan, StepResult* result);
  void sample_round(const StepPlan& plan, StepResult* result);
  SampleInput sample_input(const StepPlan& plan, const SampleWork& work, std::size_t logits_row);
  // ----
  void move_blocks(const StepPlan& plan);
  void copy_blocks(const StepPlan& plan);

  RunnerSizes sizes_;
  std::unique_ptr<ComputeStream> stream_;  // before what lies in its memory
  const ModelConfig model_;
  DecoderLoader reload_;              // empty: cannot sleep
  std::unique_ptr<Decoder> decoder_;  // null: sleeping
  KvStorage storage_;
  std::unique_ptr<OffloadWorker> offload_;  // null: none
  RowTable rows_;
  InputBatch batch_;
  std::optional<Activations> activations_;
  Sampler sampler_;
  DeviceBuffer logits_;
  // Of the round: its samples, the flat tokens whose logits are made (neighbours with the same token share a
  // row), the sampler's inputs and what it makes of them.
  struct RoundSample {
    std::size_t sample, logits_row;
  };
  std::vector<RoundSample> round_;
  StagedArray<int32_t> logits_tokens_;
  std::vector<SampleInput> inputs_;
  std::vector<SampleOutput> outputs_;
  std::vector<std::size_t> asked_;              // by row: scratch of drop_largest()
  std::array<const StepPlan*, 2> in_flight_{};  // in order; null: none
  Status failure_;                              // sticky
};

}  // namespace pagoda
