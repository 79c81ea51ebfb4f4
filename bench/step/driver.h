// Drives a LocalModelRunner with plans of its own: the model's steps without scheduler, engine and server.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/step/roofline.h"
#include "ops/cpu/cpu_stream.h"
#include "runner/local_model_runner.h"

namespace pagoda {

struct DriverOptions {
  std::string hf_config;              // a config.json
  std::string dtype, kv_cache_dtype;  // "float32", "bfloat16", "float16"; the cache also "fp8", "int8"
  std::string quantization = "none";  // of the weights
  int threads = 0;                    // 0: usable_cpu_count()
  // Ways to tune the ops: "auto" (measured), "off" (the defaults), or a file.
  std::vector<std::string> cpu_tune = {"auto"};
  // What will be asked of it at most.
  int32_t max_num_seqs = 1, max_num_batched_tokens = 1, max_model_len = 1;
  int64_t kv_tokens = 1;  // of all sequences together, each rounded up to blocks
};

// Where the time of steps went: what the ops do not account for is sampling and bookkeeping.
struct StepProfile {
  double seconds = 0;
  OpTimes ops{};
  StepProfile& operator+=(const StepProfile& other) {
    seconds += other.seconds;
    for (std::size_t i = 0; i < ops.size(); ++i) ops[i] += other.ops[i];
    return *this;
  }
};

// Tokens that `num_tokens` take in the cache.
int64_t in_whole_blocks(int64_t num_tokens);

// About how much memory the weights take, and a token in the cache. Errors: as StepDriver::create().
struct ModelBytes {
  double weights = 0, kv_token = 0;
};
Result<ModelBytes> model_bytes(const DriverOptions& options);

class StepDriver {
 public:
  // The model with dummy weights, and a cache full of random numbers. Errors: those of the flags it was made
  // from; kExhausted.
  static Result<std::unique_ptr<StepDriver>> create(const DriverOptions& options);

  // A prompt of so many tokens in chunks of so many, with one token sampled at its end: seconds.
  double prefill(int32_t num_tokens, int32_t chunk);
  // `num_steps` steps that give each of `num_seqs` sequences one token, as if `context` tokens were there
  // before: seconds of each step.
  std::vector<double> decode(int32_t num_seqs, int32_t context, int32_t num_steps);

  // Of all steps since the last call.
  StepProfile take_profile() { return std::exchange(profile_, {}); }
  const ModelCost& cost() const { return cost_; }
  // The ops are tuned in the i-th way from now on; at first in the first.
  void tune(std::size_t i) { stream_->set_tuning(tunings_[i].tuning); }
  std::size_t num_tunings() const { return tunings_.size(); }
  const std::string& tuning_text(std::size_t i) const { return tunings_[i].text; }
  const ModelConfig& config() const { return config_; }
  DType kv_dtype() const { return kv_dtype_; }

 private:
  StepDriver() = default;
  NewRow add_row(StepPlan* plan, int32_t row, int32_t num_tokens, int32_t capacity) const;
  double run(StepPlan* plan);
  void free_rows(int32_t count);

  ModelConfig config_;
  ModelCost cost_;
  struct Tuning {
    CpuTuning tuning;
    std::string text;
  };
  static Result<Tuning> tuning_of(const std::string& wish, const ModelConfig& config, DType kv_dtype,
                                  const Decoder& decoder, CpuStream* stream);
  std::vector<Tuning> tunings_;
  CpuStream* stream_ = nullptr;
  DType kv_dtype_ = DType::kF32;
  int32_t num_groups_ = 1;
  uint64_t next_step_ = 1;
  RequestId next_request_ = 1;
  StepProfile profile_;
  StepResult result_;  // of the last step
  std::unique_ptr<ModelRunner> runner_;
};

}  // namespace pagoda
