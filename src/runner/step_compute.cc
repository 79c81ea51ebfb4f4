// The part of a step of LocalModelRunner that may find no memory and is then done again with less: from the
// same rows it writes the same keys and values and draws the same tokens, however often.
#include <algorithm>
#include <new>
#include <utility>

#include "base/memory_reserve.h"
#include "runner/local_model_runner.h"

namespace pagoda {

void LocalModelRunner::begin_result(const StepPlan& plan, StepResult* result) {
  const std::size_t num_samples = plan.samples.size();
  result->step_id = plan.step_id;
  result->token.assign(num_samples, 0);
  result->logprob.assign(num_samples, 0);
  result->rank.assign(num_samples, 0);
  result->bad.assign(num_samples, kNoFault);
  result->top_begin.resize(num_samples + 1);
  result->num_accepted.assign(plan.work.size(), 0);
  result->drafts.clear();
  result->draft_begin.clear();
  result->no_memory = false;
  for (std::size_t i = 0; i < num_samples; ++i)
    if (rows_.alive(plan.samples[i].row).lost) result->bad[i] = kNoMemory;
}

// False: there was no memory for it, and a request is left to be dropped. What is large is asked for first.
bool LocalModelRunner::compute(const StepPlan& plan, StepResult* result) {
  for (std::size_t i = 0; i < plan.samples.size(); ++i)  // as before the last attempt
    if (result->bad[i] != kNoMemory) result->bad[i] = kNoFault;
  try {
    make_room_for_top(plan, result);
    if (!plan.work.empty()) {
      batch_.build(plan, &rows_);
      decoder_->forward(batch_.inputs(), storage_.layers(), &*activations_, *stream_);
    }
    sample(plan, result);
    return true;
  } catch (const std::bad_alloc&) {
    result->top = {};
    result->no_memory = std::ranges::all_of(result->bad, [](uint8_t bad) { return bad == kNoMemory; });
    return result->no_memory;
  }
}

// Each sample's place among the alternatives: as many as it asks for.
void LocalModelRunner::make_room_for_top(const StepPlan& plan, StepResult* result) {
  constexpr std::size_t kKept = std::size_t{1} << 20;  // entries that may stay for the next step
  std::size_t total = 0;
  for (std::size_t i = 0; i < plan.samples.size(); ++i) {
    result->top_begin[i] = static_cast<int32_t>(total);
    if (result->bad[i] != kNoMemory) total += num_top(plan.samples[i]);
    if (total > INT32_MAX) throw std::bad_alloc();
  }
  result->top_begin[plan.samples.size()] = static_cast<int32_t>(total);
  const KeepOffReserve large;
  if (result->top.capacity() > std::max(kKept, 4 * total)) result->top = {};
  if (result->top.capacity() < total) result->top = std::vector<TopLogprob>(total);
  result->top.resize(total);
}

std::size_t LocalModelRunner::num_top(const SampleWork& work) {
  const SamplingParams& params = rows_.alive(work.row).params;
  const int32_t wanted =
      work.kind == SampleKind::kPromptLogprobs ? params.num_prompt_logprobs : params.num_logprobs;
  return static_cast<std::size_t>(std::clamp(wanted, 0, vocab_size()));
}

// The request that asks for most in this step gets nothing of it. Allocates nothing.
void LocalModelRunner::drop_largest(const StepPlan& plan, StepResult* result) {
  auto is_left = [&](std::size_t i) { return result->bad[i] != kNoMemory; };
  std::ranges::fill(asked_, 0);
  for (std::size_t i = 0; i < plan.samples.size(); ++i)
    if (is_left(i)) asked_[static_cast<std::size_t>(plan.samples[i].row)] += 1 + num_top(plan.samples[i]);
  RequestId largest = 0;
  std::size_t most = 0;
  for (std::size_t row = 0; row < asked_.size(); ++row) {
    if (asked_[row] == 0) continue;
    const RequestId id = rows_.alive(static_cast<int32_t>(row)).id;
    std::size_t sum = 0;
    for (std::size_t other = row; other < asked_.size(); ++other)
      if (asked_[other] > 0 && rows_.alive(static_cast<int32_t>(other)).id == id)
        sum += std::exchange(asked_[other], 0);
    if (sum <= most) continue;
    most = sum;
    largest = id;
  }
  for (std::size_t i = 0; i < plan.samples.size(); ++i)
    if (rows_.alive(plan.samples[i].row).id == largest) result->bad[i] = kNoMemory;
}

SampleInput LocalModelRunner::sample_input(const StepPlan& plan, const SampleWork& work,
                                           std::size_t logits_row) {
  Row& row = rows_.alive(work.row);
  SampleInput input{.logits_row = logits_row,
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

// How many rows of logits there is room for, at most as many as are wanted.
std::size_t LocalModelRunner::make_room_for_logits(std::size_t num_wanted) {
  const std::size_t row_bytes = static_cast<std::size_t>(vocab_size()) * sizeof(float);
  const std::size_t most = std::clamp<std::size_t>(sizes_.logits_bytes / row_bytes, 1,
                                                   static_cast<std::size_t>(activations_->max_tokens()));
  num_wanted = std::min(num_wanted, most);
  if (logits_.bytes() < num_wanted * row_bytes) {
    const KeepOffReserve large;
    try {
      logits_ = DeviceBuffer(stream_->memory(), num_wanted * row_bytes);
    } catch (const std::bad_alloc&) {
      if (logits_.bytes() < row_bytes) throw;
    }
  }
  return std::min(most, logits_.bytes() / row_bytes);
}

void LocalModelRunner::sample(const StepPlan& plan, StepResult* result) {
  const std::size_t num_samples = plan.samples.size();
  const std::size_t rows_max = num_samples == 0 ? 0 : make_room_for_logits(num_samples);
  for (std::size_t next = 0; next < num_samples;) {
    round_.clear();
    std::vector<int32_t>& tokens = logits_tokens_.host();
    tokens.clear();
    for (; next < num_samples; ++next) {
      if (result->bad[next] == kNoMemory) continue;
      const int32_t flat = plan.samples[next].flat_index;
      PAGODA_CHECK(flat >= 0 && flat < plan.num_tokens, "a sample's token is in the batch");
      if (tokens.empty() || tokens.back() != flat) {
        if (tokens.size() == rows_max) break;
        tokens.push_back(flat);
      }
      round_.push_back({next, tokens.size() - 1});
    }
    if (!round_.empty()) sample_round(plan, result);
  }
}

void LocalModelRunner::sample_round(const StepPlan& plan, StepResult* result) {
  const Tensor logits = Tensor::matrix(logits_.data(), DType::kF32,
                                       static_cast<int64_t>(logits_tokens_.host().size()), vocab_size());
  decoder_->logits(logits, logits_tokens_.upload(stream_->memory()), &*activations_, *stream_);
  inputs_.clear();
  outputs_.resize(round_.size());
  for (std::size_t k = 0; k < round_.size(); ++k) {
    const auto [i, row] = round_[k];
    inputs_.push_back(sample_input(plan, plan.samples[i], row));
    outputs_[k].top = {result->top.begin() + result->top_begin[i],
                       result->top.begin() + result->top_begin[i + 1]};
  }
  sampler_.sample(logits, inputs_, outputs_, *stream_);
  for (std::size_t k = 0; k < round_.size(); ++k) {
    const SampleOutput& output = outputs_[k];
    const std::size_t i = round_[k].sample;
    result->token[i] = output.token;
    result->logprob[i] = output.logprob;
    result->rank[i] = output.rank;
    result->bad[i] = output.nothing_allowed ? kNothingAllowed : output.bad ? kLogitsNotFinite : kNoFault;
  }
}

}  // namespace pagoda
