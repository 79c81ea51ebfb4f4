#include "bench/step/driver.h"

#include <algorithm>
#include <chrono>

#include "base/env.h"
#include "base/mmap.h"
#include "model/registry.h"
#include "model/tensor_list.h"
#include "ops/cpu/calibrate.h"
#include "ops/cpu/tuning_file.h"
#include "runner/kv_storage.h"
#include "weights/dummy_checkpoint.h"

namespace pagoda {
namespace {

constexpr int32_t kBlockSize = 16;

int32_t blocks_for(int64_t num_tokens) {
  return static_cast<int32_t>((num_tokens + kBlockSize - 1) / kBlockSize);
}

Result<DType> parse_dtype(const std::string& flag, const std::string& name) {
  if (name == "float32") return DType::kF32;
  if (name == "bfloat16") return DType::kBF16;
  if (name == "float16") return DType::kF16;
  return invalid_argument("--" + flag + " '" + name + "' is not one of float32, bfloat16, float16", flag);
}

Result<DType> parse_kv_dtype(const std::string& name) {
  if (name == "fp8") return DType::kF8E4M3;
  if (name == "int8") return DType::kI8;
  return parse_dtype("kv-cache-dtype", name);
}

// The formats that the server's --quantization makes of the same name.
Result<DecoderOptions> decoder_options(const DriverOptions& options) {
  PAGODA_TRY(DType dtype, parse_dtype("dtype", options.dtype));
  DecoderOptions decoder{dtype, options.max_model_len, unquantized(dtype), unquantized(dtype)};
  if (options.quantization == "none") return decoder;
  decoder.layers_format = quantized_format(options.quantization);
  decoder.vocabulary_format = WeightFormat{WeightScheme::kInt8};
  if (!decoder.layers_format)
    return invalid_argument("--quantization '" + options.quantization + "' is not known", "quantization");
  return decoder;
}

double kv_token_bytes(const ModelConfig& config, DType kv_dtype) {
  std::size_t block = 0;
  for (const KvLayout& layout : kv_layouts(config, kv_dtype, kBlockSize))
    block += kv_block_bytes(layout, cpu_ops());
  return static_cast<double>(block) / kBlockSize;
}

// Of a matrix [vocab_size, hidden_size]: the embedding, or the head.
double vocabulary_bytes(const ModelConfig& config, const DecoderOptions& options) {
  return static_cast<double>(
      packed_bytes({config.vocab_size, config.hidden_size, *options.vocabulary_format}, cpu_ops()));
}

Result<ModelSpec> read_spec(const DriverOptions& options) {
  PAGODA_TRY(std::string text, read_file(options.hf_config, 16 << 20));
  return read_model_spec(text, options.hf_config);
}

}  // namespace

Result<ModelBytes> model_bytes(const DriverOptions& options) {
  PAGODA_TRY(ModelSpec spec, read_spec(options));
  PAGODA_TRY(DecoderOptions decoder, decoder_options(options));
  PAGODA_TRY(DType kv_dtype, parse_kv_dtype(options.kv_cache_dtype));
  const ModelConfig& config = spec.config;
  const int64_t matrix = config.vocab_size * config.hidden_size, num_tables = config.tied_head ? 1 : 2;
  // Like one matrix with as many weights as all layers have, of the usual number of columns.
  const int64_t rows = (num_parameters(tensor_list(spec)) - num_tables * matrix) / config.hidden_size;
  return ModelBytes{
      static_cast<double>(packed_bytes({rows, config.hidden_size, *decoder.layers_format}, cpu_ops())) +
          static_cast<double>(num_tables) * vocabulary_bytes(config, decoder),
      kv_token_bytes(config, kv_dtype)};
}

int64_t in_whole_blocks(int64_t num_tokens) {
  return int64_t{blocks_for(num_tokens)} * kBlockSize;
}

Result<StepDriver::Tuning> StepDriver::tuning_of(const std::string& wish, const ModelConfig& config,
                                                 DType kv_dtype, const Decoder& decoder, CpuStream* stream) {
  if (wish == "off") return Tuning{{}, "the defaults"};
  if (wish != "auto") {
    PAGODA_TRY(TuningFile file, read_tuning_file(wish));
    return Tuning{file.tuning, pagoda::tuning_text(file.tuning)};
  }
  if (decoder.weight_bytes() < kCalibrationBytes) return Tuning{{}, "the defaults, for a small model"};
  const AttentionConfig& shape = config.layers[0].attention;
  const Calibration found = calibrate(
      {decoder.matrices(), kv_dtype, shape.num_heads, shape.num_kv_heads, shape.head_dim, kBlockSize},
      *stream);
  return Tuning{found.tuning, calibration_text(found)};
}

Result<std::unique_ptr<StepDriver>> StepDriver::create(const DriverOptions& options) {
  PAGODA_TRY(ModelSpec spec, read_spec(options));
  PAGODA_TRY(DType kv_dtype, parse_kv_dtype(options.kv_cache_dtype));
  PAGODA_TRY(DecoderOptions decoder_flags, decoder_options(options));
  auto stream = std::make_unique<CpuStream>(options.threads > 0 ? options.threads : usable_cpu_count());
  auto checkpoint = make_dummy_checkpoint(tensor_list(spec), *decoder_flags.dtype, 0, &stream->pool());
  PAGODA_TRY(auto decoder, Decoder::load(spec, *checkpoint, decoder_flags, *stream));

  std::unique_ptr<StepDriver> driver(new StepDriver);
  driver->config_ = spec.config;
  driver->kv_dtype_ = kv_dtype;
  driver->cost_ = model_cost(spec.config, static_cast<double>(decoder->weight_bytes()),
                             spec.config.tied_head ? 0 : vocabulary_bytes(spec.config, decoder_flags),
                             kv_token_bytes(spec.config, kv_dtype));
  driver->stream_ = stream.get();
  for (const std::string& wish : options.cpu_tune) {
    PAGODA_TRY(Tuning tuning, tuning_of(wish, spec.config, kv_dtype, *decoder, driver->stream_));
    driver->tunings_.push_back(std::move(tuning));
  }
  driver->tune(0);
  driver->num_groups_ = static_cast<int32_t>(kv_groups(spec.config, kv_dtype, kBlockSize, cpu_ops()).size());
  RunnerSizes config;
  config.max_num_seqs = options.max_num_seqs;
  config.max_num_batched_tokens = options.max_num_batched_tokens;
  config.block_size = kBlockSize;
  config.num_blocks = blocks_for(options.kv_tokens) * driver->num_groups_ + 1;
  config.kv_dtype = kv_dtype;
  PAGODA_TRY(driver->runner_, LocalModelRunner::create(config, std::move(stream), std::move(decoder)));
  static_cast<LocalModelRunner&>(*driver->runner_).fill_kv_for_benchmark();
  driver->stream_->set_times(&driver->profile_.ops);
  return driver;
}

// A greedy row whose `num_tokens` tokens count as its prompt, with blocks for `capacity` of them.
NewRow StepDriver::add_row(StepPlan* plan, int32_t row, int32_t num_tokens, int32_t capacity) const {
  const NewRow fresh{.id = next_request_ + static_cast<RequestId>(row),
                     .row = row,
                     .choice = 0,
                     .token_begin = static_cast<int32_t>(plan->tokens.size()),
                     .num_tokens = num_tokens,
                     .num_prompt_tokens = num_tokens,
                     .params_index = 0,
                     .lora_id = 0};
  for (int32_t i = 0; i < num_tokens; ++i)
    plan->tokens.push_back(static_cast<TokenId>((row * 7919 + i * 104729LL) % config_.vocab_size));
  const int32_t num_blocks = blocks_for(capacity);
  for (int32_t group = 0; group < num_groups_; ++group) {
    const int32_t first = 1 + (row * num_groups_ + group) * num_blocks;
    plan->new_blocks.push_back({row, group, 0, static_cast<int32_t>(plan->block_ids.size()), num_blocks});
    for (int32_t i = 0; i < num_blocks; ++i) plan->block_ids.push_back(first + i);
  }
  plan->new_rows.push_back(fresh);
  return fresh;
}

double StepDriver::run(StepPlan* plan) {
  plan->step_id = next_step_++;
  const auto start = std::chrono::steady_clock::now();
  PAGODA_CHECK(runner_->launch(*plan).ok(), "the runner lives");
  const Status done = runner_->wait(plan->step_id, &result_);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  PAGODA_CHECK(done.ok(), "the step has the memory it needs");
  for (uint8_t bad : result_.bad) PAGODA_CHECK(bad == 0, "logits are finite");
  profile_.seconds += time.count();
  return time.count();
}

void StepDriver::free_rows(int32_t count) {
  StepPlan plan;
  for (int32_t row = 0; row < count; ++row) plan.freed_rows.push_back(row);
  run(&plan);
  next_request_ += static_cast<RequestId>(count);
}

double StepDriver::prefill(int32_t num_tokens, int32_t chunk) {
  double total = 0;
  for (int32_t done = 0; done < num_tokens; done += chunk) {
    StepPlan plan;
    const int32_t count = std::min(chunk, num_tokens - done);
    if (done == 0) {
      SamplingParams greedy;
      greedy.temperature = 0;
      plan.params.push_back(greedy);
      add_row(&plan, 0, num_tokens, num_tokens);
    }
    const auto begin = static_cast<int32_t>(plan.tokens.size());
    plan.tokens.insert(plan.tokens.end(), static_cast<std::size_t>(count), kFromLastStep);
    plan.work.push_back({0, done, count, 0, begin});
    plan.num_tokens = count;
    if (done + count == num_tokens) plan.samples.push_back({0, count - 1, 0, -1, 0, SampleKind::kSample});
    total += run(&plan);
  }
  free_rows(1);
  return total;
}

std::vector<double> StepDriver::decode(int32_t num_seqs, int32_t context, int32_t num_steps) {
  std::vector<double> times;
  for (int32_t step = 0; step < num_steps; ++step) {
    StepPlan plan;
    if (step == 0) {
      SamplingParams greedy;
      greedy.temperature = 0;
      plan.params.push_back(greedy);
      for (int32_t row = 0; row < num_seqs; ++row) add_row(&plan, row, context + 1, context + num_steps);
    }
    const auto begin = static_cast<int32_t>(plan.tokens.size());
    plan.tokens.insert(plan.tokens.end(), static_cast<std::size_t>(num_seqs), kFromLastStep);
    for (int32_t row = 0; row < num_seqs; ++row) {
      plan.work.push_back({row, context + step, 1, 0, begin + row});
      plan.samples.push_back({row, row, step, -1, 0, SampleKind::kSample});
    }
    plan.num_tokens = num_seqs;
    times.push_back(run(&plan));
  }
  free_rows(num_seqs);
  return times;
}

}  // namespace pagoda
