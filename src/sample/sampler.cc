#include "sample/sampler.h"

#include <cmath>

#include "ops/host_rows.h"
#include "sample/gumbel.h"
#include "sample/logits_filter.h"
#include "sample/logprobs.h"

namespace pagoda {

struct Sampler::Scratch {
  std::vector<float> raw_room, row_room;  // where the host cannot read a row in place
  std::vector<float> logits;
  FilterScratch filter;
  std::vector<std::pair<float, TokenId>> top;
};

struct Sampler::Batch {
  const Tensor& logits;
  const Tensor& masked;
  std::span<const RowMax> largest, masked_largest;
  std::span<const int32_t> masked_row;
  std::span<const SampleInput> inputs;
  DeviceMemory& memory;
};

namespace {

std::span<const float> read_row(const Tensor& matrix, std::size_t row, DeviceMemory& memory,
                                std::vector<float>* room) {
  const auto columns = static_cast<std::size_t>(matrix.columns());
  const auto* from = matrix.row<const float>(static_cast<int64_t>(row));
  if (const void* view = memory.host_view(from)) return {static_cast<const float*>(view), columns};
  room->resize(columns);
  memory.copy_to_host(room->data(), from, columns * sizeof(float));
  return *room;
}

void add_logprobs(std::span<const float> logits, std::vector<std::pair<float, TokenId>>* scratch,
                  SampleOutput* out) {
  const double log_sum = log_sum_exp(logits);
  const TokenLogprob own = token_logprob(logits, log_sum, out->token);
  out->logprob = own.logprob;
  out->rank = own.rank;
  top_logprobs(logits, log_sum, out->top, scratch);
}

}  // namespace

Sampler::Sampler(int num_workers) {
  for (int i = 0; i < num_workers; ++i) scratch_.push_back(std::make_unique<Scratch>());
}
Sampler::~Sampler() = default;

void Sampler::sample_one(const Batch& batch, std::size_t index, Scratch* scratch, SampleOutput* out) {
  const SampleInput& input = batch.inputs[index];
  const SamplingParams& params = *input.params;
  const auto raw = [&] { return read_row(batch.logits, input.logits_row, batch.memory, &scratch->raw_room); };
  out->clear();
  out->bad = true;
  RowMax top = batch.largest[input.logits_row];
  if (!top.is_finite) return;
  const float raw_top = top.value;
  if (input.kind == SampleKind::kPromptLogprobs) {
    out->bad = !std::isfinite(raw_top);
    if (out->bad) return;
    out->token = input.target;
    if (params.num_prompt_logprobs >= 0) add_logprobs(raw(), &scratch->top, out);
    return;
  }
  const int32_t masked_row = batch.masked_row[index];
  if (masked_row >= 0) top = batch.masked_largest[static_cast<std::size_t>(masked_row)];
  const auto source = [&] {
    return masked_row < 0 ? raw()
                          : read_row(batch.masked, static_cast<std::size_t>(masked_row), batch.memory,
                                     &scratch->row_room);
  };
  const LogitsEdit edit{params, *input.history, input.output_index};
  const bool edits = edits_logits(edit);
  if (edits) {
    const std::span<const float> row = source();
    scratch->logits.assign(row.begin(), row.end());
    edit_logits(scratch->logits, edit, &scratch->filter);
    top = row_max(scratch->logits);
  }
  out->nothing_allowed = top.is_finite && !std::isfinite(top.value) && std::isfinite(raw_top);
  if (!top.is_finite || !std::isfinite(top.value)) return;
  out->bad = false;
  out->token = top.index;
  if (params.temperature >= kGreedyTemperature) {
    // Shifted first: the largest becomes 0, and nothing overflows however small the temperature.
    const std::span<const float> row = edits ? scratch->logits : source();
    scratch->logits.resize(row.size());
    shift_and_divide(scratch->logits, row, top.value, params.temperature);
    const Cutoff cutoff = find_cutoff(scratch->logits, params, &scratch->filter);
    out->token = gumbel_draw(scratch->logits, cutoff, top.index, input.seed, input.output_index);
  }
  if (params.num_logprobs >= 0) add_logprobs(raw(), &scratch->top, out);
}

// The masked rows of the inputs that have a mask, and which those are.
Tensor Sampler::apply_masks(const Tensor& logits, std::span<const SampleInput> inputs,
                            ComputeStream& stream) {
  const auto words = static_cast<std::size_t>((logits.columns() + 31) / 32);
  masked_row_.assign(inputs.size(), -1);
  std::vector<int32_t>& source = mask_source_.host();
  source.clear();
  masks_.host().clear();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].mask == nullptr) continue;
    masked_row_[i] = static_cast<int32_t>(source.size());
    source.push_back(static_cast<int32_t>(inputs[i].logits_row));
    masks_.host().insert(masks_.host().end(), inputs[i].mask, inputs[i].mask + words);
  }
  masked_largest_.resize(source.size());
  if (source.empty()) return {};
  const std::size_t bytes = source.size() * static_cast<std::size_t>(logits.columns()) * sizeof(float);
  if (masked_.bytes() < bytes) masked_ = DeviceBuffer::uninitialized(stream.memory(), bytes);
  const Tensor masked =
      Tensor::matrix(masked_.data(), DType::kF32, static_cast<int64_t>(source.size()), logits.columns());
  mask_logits(masked, logits, mask_source_.upload(stream.memory()), masks_.upload(stream.memory()), stream);
  argmax(masked_largest_, masked, stream);
  return masked;
}

void Sampler::sample(const Tensor& logits, std::span<const SampleInput> inputs,
                     std::span<SampleOutput> outputs, ComputeStream& stream) {
  ComputePool& pool = stream.pool();
  PAGODA_CHECK(inputs.size() == outputs.size(), "an output for every input");
  PAGODA_CHECK(static_cast<std::size_t>(pool.num_threads()) <= scratch_.size(), "scratch for every worker");
  if (inputs.empty()) return;
  for (const SampleInput& input : inputs)
    PAGODA_CHECK(input.logits_row < static_cast<std::size_t>(logits.rows()), "a row of the logits");

  largest_.resize(static_cast<std::size_t>(logits.rows()));
  argmax(largest_, logits, stream);
  const Tensor masked = apply_masks(logits, inputs, stream);
  const Batch batch{logits, masked, largest_, masked_largest_, masked_row_, inputs, stream.memory()};
  if (inputs.size() == 1) return sample_one(batch, 0, scratch_[0].get(), &outputs[0]);  // wakes no other
  const auto num_workers = static_cast<std::size_t>(pool.num_threads());
  pool.run([&](int worker) {
    const auto own = static_cast<std::size_t>(worker);
    for (std::size_t i = own; i < inputs.size(); i += num_workers)
      sample_one(batch, i, scratch_[own].get(), &outputs[i]);
  });
}

}  // namespace pagoda
