#include "runner/cpu_model_runner.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <numeric>

#include "base/rng.h"

namespace pagoda {
namespace {

RowLimits row_limits(const CpuRunnerConfig& config, const Decoder& decoder, std::size_t num_groups) {
  return {.max_num_seqs = config.max_num_seqs,
          .max_model_len = decoder.max_positions(),
          .block_size = config.block_size,
          .num_blocks = config.num_blocks,
          .num_groups = num_groups};
}

}  // namespace

Result<std::unique_ptr<ModelRunner>> CpuModelRunner::create(const CpuRunnerConfig& config,
                                                            std::unique_ptr<CpuCompute> compute,
                                                            std::unique_ptr<Decoder> decoder,
                                                            DecoderLoader reload, OffloadConfig offload) {
  const std::vector<KvLayout> layouts = kv_layouts(decoder->config(), config.kv_dtype, config.block_size);
  const std::vector<KvGroupSpec> groups = kv_groups(decoder->config(), config.kv_dtype, config.block_size);
  PAGODA_TRY(KvStorage storage, KvStorage::allocate(groups, layouts, config.num_blocks));
  std::unique_ptr<OffloadWorker> worker;
  if (offload.num_slots > 0) {
    PAGODA_TRY(worker, OffloadWorker::create({storage.page(0), config.num_blocks}, std::move(offload)));
  }
  try {
    std::unique_ptr<CpuModelRunner> runner(new CpuModelRunner(
        config, groups, std::move(compute), std::move(decoder), std::move(reload), std::move(storage)));
    runner->offload_ = std::move(worker);
    return std::unique_ptr<ModelRunner>(std::move(runner));
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted, "too little memory for the activations of " +
                                              std::to_string(config.max_num_batched_tokens) +
                                              " tokens: use a smaller --max-num-batched-tokens");
  }
}

CpuModelRunner::CpuModelRunner(const CpuRunnerConfig& config, std::span<const KvGroupSpec> groups,
                               std::unique_ptr<CpuCompute> compute, std::unique_ptr<Decoder> decoder,
                               DecoderLoader reload, KvStorage storage)
    : config_(config),
      compute_(std::move(compute)),
      model_(decoder->config()),
      reload_(std::move(reload)),
      decoder_(std::move(decoder)),
      storage_(std::move(storage)),
      rows_(row_limits(config, *decoder_, groups.size())),
      batch_(model_, groups, decoder_->max_positions()),
      activations_(std::in_place, model_, config.max_num_batched_tokens, decoder_->max_input_parts()),
      sampler_(compute_->pool.num_threads()),
      asked_(static_cast<std::size_t>(config.max_num_seqs)) {}

Status CpuModelRunner::launch(const StepPlan& plan) {
  if (!failure_.ok()) return failure_;
  PAGODA_CHECK(!is_sleeping(), "nothing is launched while asleep");
  PAGODA_CHECK(in_flight_[1] == nullptr, "at most two plans in flight");
  in_flight_[in_flight_[0] == nullptr ? 0 : 1] = &plan;
  return {};
}

Status CpuModelRunner::wait(uint64_t step_id, StepResult* result) {
  if (!failure_.ok()) return failure_;
  PAGODA_CHECK(in_flight_[0] != nullptr && in_flight_[0]->step_id == step_id,
               "plans are waited for in their order");
  const StepPlan& plan = *in_flight_[0];
  in_flight_ = {in_flight_[1], nullptr};
  compute_->pool.bind_caller();
  try {
    const auto start = std::chrono::steady_clock::now();
    run(plan, result);
    result->device_ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    return {};
  } catch (const std::bad_alloc&) {  // in the block tables of the rows
    failure_ = Status(StatusCode::kExhausted, "out of memory while a step ran");
    return failure_;
  }
}

void CpuModelRunner::run(const StepPlan& plan, StepResult* result) {
  rows_.apply(plan);
  move_blocks(plan);
  begin_result(plan, result);
  while (!compute(plan, result)) drop_largest(plan, result);
  for (std::size_t i = 0; i < plan.samples.size(); ++i)
    if (plan.samples[i].kind == SampleKind::kSample && result->bad[i] != kNoMemory)
      rows_.alive(plan.samples[i].row).history.append(result->token[i]);
  if (offload_ == nullptr) return;
  offload_->begin(plan.moves);
  offload_->take_times(result);
}

Status CpuModelRunner::sleep(int level) {
  if (!failure_.ok()) return failure_;
  if (level != 1 && level != 2) return invalid_argument("the sleep level must be 1 or 2", "level");
  if (!reload_)
    return unimplemented("this runner cannot sleep: nobody told it how to load its weights again");
  PAGODA_CHECK(in_flight_[0] == nullptr, "nobody falls asleep over a step");
  if (is_sleeping()) return {};
  decoder_.reset();
  activations_.reset();
  logits_ = Buffer();
  storage_.clear();
  if (offload_ != nullptr) offload_->clear();
  ::malloc_trim(0);  // small weights lie on the heap
  return {};
}

Status CpuModelRunner::wake() {
  if (!failure_.ok()) return failure_;
  if (!is_sleeping()) return {};
  compute_->pool.bind_caller();
  try {
    PAGODA_TRY(std::unique_ptr<Decoder> decoder, reload_(compute_.get()));
    activations_.emplace(model_, config_.max_num_batched_tokens, decoder->max_input_parts());
    decoder_ = std::move(decoder);
    return {};
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted, "too little memory to load the weights again");
  }
}

void CpuModelRunner::take_ended_moves(std::vector<OffloadMoveEnd>* ended) {
  if (offload_ != nullptr) offload_->take_ended(ended);
}

void CpuModelRunner::on_move_end(std::function<void()> wake) {
  if (offload_ != nullptr) offload_->on_move_end(std::move(wake));
}

void CpuModelRunner::fill_kv_for_benchmark() {
  constexpr int64_t kTokens = 4096;  // stored at a time; the same for all
  int64_t widest = 0;
  for (const LayerConfig& layer : model_.layers)
    widest = std::max<int64_t>(widest, layer.attention.kv_size());
  std::vector<float> numbers(static_cast<std::size_t>(kTokens * widest));
  SplitMix64 random(1);
  for (float& number : numbers) number = static_cast<float>(2 * random.uniform() - 1);
  std::vector<int64_t> slots(kTokens);
  const int64_t num_slots = int64_t{config_.num_blocks} * config_.block_size;
  for (int64_t begin = 0; begin < num_slots; begin += kTokens) {
    std::iota(slots.begin(), slots.end(), begin);
    AttnBatch batch;
    batch.slot_mapping = slots.data();
    batch.num_tokens = static_cast<int32_t>(std::min(kTokens, num_slots - begin));
    batch.block_size = config_.block_size;
    for (const KvLayerView& layer : storage_.layers()) {
      const Tensor rows = Tensor::matrix(numbers.data(), DType::kF32, kTokens,
                                         int64_t{layer.layout.num_kv_heads} * layer.layout.k_dim);
      kv_store(layer, rows, rows, batch, compute_->stream);
    }
  }
}

// What leaves the cache goes before its block is another's, and what comes back comes last.
void CpuModelRunner::move_blocks(const StepPlan& plan) {
  PAGODA_CHECK(plan.moves.empty() || offload_ != nullptr, "a move, but nothing is offloaded");
  for (const OffloadMove& move : plan.moves)
    PAGODA_CHECK((move.kind != OffloadMoveKind::kStore && move.kind != OffloadMoveKind::kLoad) ||
                     (move.block > 0 && move.block < config_.num_blocks),
                 "blocks of the cache");
  if (offload_ != nullptr) offload_->store(plan.moves, compute_->pool);
  copy_blocks(plan);
  if (offload_ != nullptr) offload_->load(plan.moves, compute_->pool);
}

void CpuModelRunner::copy_blocks(const StepPlan& plan) {
  for (const BlockCopy& copy : plan.copies) {
    PAGODA_CHECK(
        copy.src > 0 && copy.src < config_.num_blocks && copy.dst > 0 && copy.dst < config_.num_blocks,
        "blocks of the cache");
    storage_.copy_page(copy.src, copy.dst);
  }
}

}  // namespace pagoda
