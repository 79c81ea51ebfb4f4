#include "runner/cpu_model_runner.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <numeric>

#include "base/rng.h"

namespace pagoda {
namespace {

StepResult to_result(const StepPlan& plan, std::vector<SampleOutput> outputs) {
  StepResult result;
  result.step_id = plan.step_id;
  result.top_begin.push_back(0);
  for (const SampleOutput& output : outputs) {
    result.token.push_back(output.token);
    result.logprob.push_back(output.logprob);
    result.rank.push_back(output.rank);
    result.bad.push_back(output.bad ? 1 : 0);
    result.top.insert(result.top.end(), output.top.begin(), output.top.end());
    result.top_begin.push_back(static_cast<int32_t>(result.top.size()));
  }
  result.num_accepted.assign(plan.work.size(), 0);
  return result;
}

}  // namespace

Result<std::unique_ptr<ModelRunner>> CpuModelRunner::create(const CpuRunnerConfig& config,
                                                            std::unique_ptr<CpuCompute> compute,
                                                            std::unique_ptr<Decoder> decoder) {
  PAGODA_TRY(KvStorage storage,
             KvStorage::allocate(decoder->config(), config.kv_dtype, config.block_size, config.num_blocks));
  try {
    return std::unique_ptr<ModelRunner>(
        new CpuModelRunner(config, std::move(compute), std::move(decoder), std::move(storage)));
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted, "too little memory for the activations of " +
                                              std::to_string(config.max_num_batched_tokens) +
                                              " tokens: use a smaller --max-num-batched-tokens");
  }
}

CpuModelRunner::CpuModelRunner(const CpuRunnerConfig& config, std::unique_ptr<CpuCompute> compute,
                               std::unique_ptr<Decoder> decoder, KvStorage storage)
    : config_(config),
      compute_(std::move(compute)),
      decoder_(std::move(decoder)),
      windows_(attention_windows(decoder_->config())),
      storage_(std::move(storage)),
      rows_(config.max_num_seqs, windows_.size(), config.num_blocks),
      batch_(decoder_->config(), config.block_size),
      activations_(decoder_->config(), config.max_num_batched_tokens),
      sampler_(compute_->pool.num_threads()) {}

Status CpuModelRunner::launch(const StepPlan& plan) {
  if (!failure_.ok()) return failure_;
  PAGODA_CHECK(in_flight_.size() < 2, "at most two plans in flight");
  in_flight_.push_back(&plan);
  return {};
}

Status CpuModelRunner::wait(uint64_t step_id, StepResult* result) {
  if (!failure_.ok()) return failure_;
  PAGODA_CHECK(!in_flight_.empty() && in_flight_.front()->step_id == step_id,
               "plans are waited for in their order");
  const StepPlan& plan = *in_flight_.front();
  in_flight_.pop_front();
  compute_->pool.bind_caller();
  try {
    const auto start = std::chrono::steady_clock::now();
    *result = run(plan);
    result->device_ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    return {};
  } catch (const std::bad_alloc&) {
    failure_ = Status(StatusCode::kExhausted, "out of memory while a step ran");
    return failure_;
  }
}

StepResult CpuModelRunner::run(const StepPlan& plan) {
  rows_.apply(plan);
  copy_blocks(plan);
  if (!plan.work.empty()) {
    batch_.build(plan, &rows_, decoder_->max_positions());
    decoder_->forward(batch_.inputs(), storage_.layers(), &activations_, compute_->stream);
  }
  std::vector<SampleOutput> outputs = sample(plan);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (plan.samples[i].kind == SampleKind::kSample)
      rows_.alive(plan.samples[i].row).history.append(outputs[i].token);
  return to_result(plan, std::move(outputs));
}

void CpuModelRunner::fill_kv_for_benchmark() {
  constexpr int64_t kTokens = 4096;  // stored at a time; the same for all
  const AttentionShape& shape = decoder_->config().attention;
  std::vector<float> numbers(static_cast<std::size_t>(kTokens * shape.kv_size()));
  SplitMix64 random(1);
  for (float& number : numbers) number = static_cast<float>(2 * random.uniform() - 1);
  const Tensor rows = Tensor::matrix(numbers.data(), DType::kF32, kTokens, shape.kv_size());
  std::vector<int64_t> slots(kTokens);
  const int64_t num_slots = int64_t{config_.num_blocks} * config_.block_size;
  for (int64_t begin = 0; begin < num_slots; begin += kTokens) {
    std::iota(slots.begin(), slots.end(), begin);
    AttnBatch batch;
    batch.slot_mapping = slots.data();
    batch.num_tokens = static_cast<int32_t>(std::min(kTokens, num_slots - begin));
    batch.block_size = config_.block_size;
    for (const KvLayerView& layer : storage_.layers()) kv_store(layer, rows, rows, batch, compute_->stream);
  }
}

void CpuModelRunner::copy_blocks(const StepPlan& plan) {
  for (const BlockCopy& copy : plan.copies) {
    PAGODA_CHECK(copy.group >= 0 && static_cast<std::size_t>(copy.group) < windows_.size(),
                 "group of the model");
    PAGODA_CHECK(
        copy.src > 0 && copy.src < config_.num_blocks && copy.dst > 0 && copy.dst < config_.num_blocks,
        "blocks of the cache");
    storage_.copy_block(decoder_->config(), windows_[static_cast<std::size_t>(copy.group)], copy.src,
                        copy.dst);
  }
}

SampleInput CpuModelRunner::sample_input(const StepPlan& plan, const SampleWork& work,
                                         std::span<const float> logits) {
  Row& row = rows_.alive(work.row);
  SampleInput input{.logits = logits,
                    .params = &row.params,
                    .seed = row.params.seed,
                    .history = &row.history,
                    .output_index = work.output_index,
                    .kind = work.kind,
                    .target = work.target};
  if (work.kind == SampleKind::kPromptLogprobs) {
    PAGODA_CHECK(work.target >= 0 && work.target < vocab_size(), "target of the vocabulary");
    return input;
  }
  PAGODA_CHECK(row.history.size() == row.history.num_prompt_tokens() + work.output_index,
               "the plan and the row agree on the length");
  if (work.mask_row >= 0) {
    const std::size_t begin =
        static_cast<std::size_t>(work.mask_row) * static_cast<std::size_t>(plan.mask_words);
    PAGODA_CHECK(static_cast<int64_t>(plan.mask_words) * 32 >= vocab_size() &&
                     begin + static_cast<std::size_t>(plan.mask_words) <= plan.masks.size(),
                 "a mask covers the vocabulary");
    input.mask = plan.masks.data() + begin;
  }
  return input;
}

std::vector<SampleOutput> CpuModelRunner::sample(const StepPlan& plan) {
  const auto vocab = static_cast<std::size_t>(vocab_size());
  const std::size_t rows_max = std::clamp<std::size_t>(config_.logits_bytes / (vocab * sizeof(float)), 1,
                                                       static_cast<std::size_t>(activations_.max_tokens()));
  std::vector<SampleOutput> outputs(plan.samples.size());
  std::vector<int32_t> flat_rows;  // of this round; neighbours with the same flat_index share one
  std::vector<std::size_t> row_of;
  std::vector<SampleInput> inputs;
  for (std::size_t begin = 0, end = 0; begin < plan.samples.size(); begin = end) {
    flat_rows.clear();
    row_of.clear();
    for (; end < plan.samples.size(); ++end) {
      const int32_t flat = plan.samples[end].flat_index;
      PAGODA_CHECK(flat >= 0 && flat < plan.num_tokens, "a sample's token is in the batch");
      if (flat_rows.empty() || flat_rows.back() != flat) {
        if (flat_rows.size() == rows_max) break;
        flat_rows.push_back(flat);
      }
      row_of.push_back(flat_rows.size() - 1);
    }
    const std::size_t bytes = flat_rows.size() * vocab * sizeof(float);
    if (logits_.bytes() < bytes) logits_ = Buffer(bytes);
    const Tensor logits =
        Tensor::matrix(logits_.data(), DType::kF32, static_cast<int64_t>(flat_rows.size()), vocab_size());
    decoder_->logits(logits, flat_rows, &activations_, compute_->stream);
    inputs.clear();
    for (std::size_t i = begin; i < end; ++i)
      inputs.push_back(sample_input(plan, plan.samples[i],
                                    {logits.row<float>(static_cast<int64_t>(row_of[i - begin])), vocab}));
    sampler_.sample(inputs, std::span(outputs).subspan(begin, end - begin), compute_->pool);
  }
  return outputs;
}

}  // namespace pagoda
