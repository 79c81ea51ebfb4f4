#include "runner/local_model_runner.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <numeric>

#include "base/rng.h"

namespace pagoda {
namespace {

RowLimits row_limits(const RunnerSizes& sizes, const Decoder& decoder, std::size_t num_groups) {
  return {.max_num_seqs = sizes.max_num_seqs,
          .max_model_len = decoder.max_positions(),
          .block_size = sizes.block_size,
          .num_blocks = sizes.num_blocks,
          .num_groups = num_groups};
}

}  // namespace

Result<std::unique_ptr<ModelRunner>> LocalModelRunner::create(const RunnerSizes& sizes,
                                                              std::unique_ptr<ComputeStream> stream,
                                                              std::unique_ptr<Decoder> decoder,
                                                              DecoderLoader reload, OffloadConfig offload) {
  const std::vector<KvLayout> layouts = kv_layouts(decoder->config(), sizes.kv_dtype, sizes.block_size);
  const std::vector<KvGroupSpec> groups =
      kv_groups(decoder->config(), sizes.kv_dtype, sizes.block_size, stream->ops());
  PAGODA_TRY(KvStorage storage, KvStorage::allocate(groups, layouts, sizes.num_blocks, *stream));
  try {
    std::unique_ptr<LocalModelRunner> runner(new LocalModelRunner(
        sizes, groups, std::move(stream), std::move(decoder), std::move(reload), std::move(storage)));
    if (offload.num_slots > 0) {
      KvStorage& cache = runner->storage_;
      PAGODA_TRY(
          runner->offload_,
          OffloadWorker::create({&cache.memory(), cache.page_bytes(), sizes.num_blocks}, std::move(offload)));
    }
    return std::unique_ptr<ModelRunner>(std::move(runner));
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted, "too little memory for the activations of " +
                                              std::to_string(sizes.max_num_batched_tokens) +
                                              " tokens: use a smaller --max-num-batched-tokens");
  }
}

LocalModelRunner::LocalModelRunner(const RunnerSizes& sizes, std::span<const KvGroupSpec> groups,
                                   std::unique_ptr<ComputeStream> stream, std::unique_ptr<Decoder> decoder,
                                   DecoderLoader reload, KvStorage storage)
    : sizes_(sizes),
      stream_(std::move(stream)),
      model_(decoder->config()),
      reload_(std::move(reload)),
      decoder_(std::move(decoder)),
      storage_(std::move(storage)),
      rows_(row_limits(sizes, *decoder_, groups.size()), stream_->memory()),
      batch_(model_, groups, decoder_->max_positions(), stream_->memory()),
      activations_(std::in_place, model_, sizes.max_num_batched_tokens, decoder_->max_input_parts(),
                   *stream_),
      sampler_(stream_->pool().num_threads()),
      asked_(static_cast<std::size_t>(sizes.max_num_seqs)) {}

Status LocalModelRunner::launch(const StepPlan& plan) {
  if (!failure_.ok()) return failure_;
  PAGODA_CHECK(!is_sleeping(), "nothing is launched while asleep");
  PAGODA_CHECK(in_flight_[1] == nullptr, "at most two plans in flight");
  in_flight_[in_flight_[0] == nullptr ? 0 : 1] = &plan;
  return {};
}

Status LocalModelRunner::wait(uint64_t step_id, StepResult* result) {
  if (!failure_.ok()) return failure_;
  PAGODA_CHECK(in_flight_[0] != nullptr && in_flight_[0]->step_id == step_id,
               "plans are waited for in their order");
  const StepPlan& plan = *in_flight_[0];
  in_flight_ = {in_flight_[1], nullptr};
  stream_->pool().bind_caller();
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

void LocalModelRunner::run(const StepPlan& plan, StepResult* result) {
  rows_.apply(plan);
  move_blocks(plan);
  begin_result(plan, result);
  while (!compute(plan, result)) drop_largest(plan, result);
  for (std::size_t i = 0; i < plan.samples.size(); ++i) {
    Row& row = rows_.alive(plan.samples[i].row);
    if (result->bad[i] == kNoMemory)
      row.lost = true;  // its sequence ends; a plan in flight may still compute and sample for it
    else if (plan.samples[i].kind == SampleKind::kSample)
      row.history.append(result->token[i]);
  }
  if (offload_ == nullptr) return;
  offload_->begin(plan.moves);
  offload_->take_times(result);
}

Status LocalModelRunner::sleep(int level) {
  if (!failure_.ok()) return failure_;
  if (level != 1 && level != 2) return invalid_argument("the sleep level must be 1 or 2", "level");
  if (!reload_) return unimplemented("sleep mode needs weights that can be loaded again");
  PAGODA_CHECK(in_flight_[0] == nullptr, "no step is in flight while it falls asleep");
  if (is_sleeping()) return {};
  decoder_.reset();
  activations_.reset();
  logits_ = DeviceBuffer();
  storage_.clear();
  if (offload_ != nullptr) offload_->clear();
  ::malloc_trim(0);  // small weights lie on the heap
  return {};
}

Status LocalModelRunner::wake() {
  if (!failure_.ok()) return failure_;
  if (!is_sleeping()) return {};
  stream_->pool().bind_caller();
  try {
    PAGODA_TRY(std::unique_ptr<Decoder> decoder, reload_(*stream_));
    activations_.emplace(model_, sizes_.max_num_batched_tokens, decoder->max_input_parts(), *stream_);
    decoder_ = std::move(decoder);
    return {};
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted, "too little memory to load the weights again");
  }
}

void LocalModelRunner::take_ended_moves(std::vector<OffloadMoveEnd>* ended) {
  if (offload_ != nullptr) offload_->take_ended(ended);
}

void LocalModelRunner::on_move_end(std::function<void()> wake) {
  if (offload_ != nullptr) offload_->on_move_end(std::move(wake));
}

void LocalModelRunner::fill_kv_for_benchmark() {
  constexpr int64_t kTokens = 4096;  // stored at a time; the same for all
  int64_t widest = 0;
  for (const LayerConfig& layer : model_.layers)
    widest = std::max<int64_t>(widest, layer.attention.kv_size());
  std::vector<float> numbers(static_cast<std::size_t>(kTokens * widest));
  SplitMix64 random(1);
  for (float& number : numbers) number = static_cast<float>(2 * random.uniform() - 1);
  const DeviceBuffer stored = DeviceBuffer::copy_of(stream_->memory(), std::as_bytes(std::span(numbers)));
  StagedArray<int64_t> slots;
  slots.host().resize(kTokens);
  const int64_t num_slots = int64_t{sizes_.num_blocks} * sizes_.block_size;
  for (int64_t begin = 0; begin < num_slots; begin += kTokens) {
    std::iota(slots.host().begin(), slots.host().end(), begin);
    AttnBatch batch;
    batch.slot_mapping = slots.upload(stream_->memory());
    batch.num_tokens = static_cast<int32_t>(std::min(kTokens, num_slots - begin));
    batch.block_size = sizes_.block_size;
    for (const KvLayerView& layer : storage_.layers()) {
      const Tensor rows = Tensor::matrix(stored.data(), DType::kF32, kTokens,
                                         int64_t{layer.layout.num_kv_heads} * layer.layout.k_dim);
      kv_store(layer, rows, rows, batch, *stream_);
    }
  }
}

// What leaves the cache goes before its block is another's, and what comes back comes last.
void LocalModelRunner::move_blocks(const StepPlan& plan) {
  PAGODA_CHECK(plan.moves.empty() || offload_ != nullptr, "a move, but nothing is offloaded");
  for (const OffloadMove& move : plan.moves)
    PAGODA_CHECK((move.kind != OffloadMoveKind::kStore && move.kind != OffloadMoveKind::kLoad) ||
                     (move.block > 0 && move.block < sizes_.num_blocks),
                 "blocks of the cache");
  if (offload_ != nullptr) offload_->store(plan.moves, stream_->pool());
  copy_blocks(plan);
  if (offload_ != nullptr) offload_->load(plan.moves, stream_->pool());
}

void LocalModelRunner::copy_blocks(const StepPlan& plan) {
  for (const BlockCopy& copy : plan.copies) {
    PAGODA_CHECK(copy.src > 0 && copy.src < sizes_.num_blocks && copy.dst > 0 && copy.dst < sizes_.num_blocks,
                 "blocks of the cache");
    storage_.copy_page(copy.src, copy.dst);
  }
}

}  // namespace pagoda
