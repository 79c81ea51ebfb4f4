#include "sample/sampler.h"

#include <cmath>

#include "ops/row_max.h"
#include "sample/gumbel.h"
#include "sample/logits_filter.h"
#include "sample/logprobs.h"

namespace pagoda {

struct Sampler::Scratch {
  std::vector<float> logits;
  FilterScratch filter;
  std::vector<std::pair<float, TokenId>> top;
};

namespace {

void add_logprobs(const SampleInput& input, int32_t num_wanted,
                  std::vector<std::pair<float, TokenId>>* scratch, SampleOutput* out) {
  if (num_wanted < 0) return;
  const double log_sum = log_sum_exp(input.logits);
  TokenLogprob own = token_logprob(input.logits, log_sum, out->token);
  out->logprob = own.logprob;
  out->rank = own.rank;
  top_logprobs(input.logits, log_sum, out->top, scratch);
}

}  // namespace

Sampler::Sampler(int num_workers) {
  for (int i = 0; i < num_workers; ++i) scratch_.push_back(std::make_unique<Scratch>());
}
Sampler::~Sampler() = default;

void Sampler::sample(std::span<const SampleInput> inputs, std::span<SampleOutput> outputs,
                     ComputePool& pool) {
  PAGODA_CHECK(inputs.size() == outputs.size(), "an output for every input");
  PAGODA_CHECK(static_cast<std::size_t>(pool.num_threads()) <= scratch_.size(), "scratch for every worker");

  auto sample_one = [](const SampleInput& input, Scratch* scratch, SampleOutput* out) {
    const SamplingParams& params = *input.params;
    out->clear();
    out->bad = true;
    RowMax top = row_max(input.logits);
    if (!top.is_finite) return;
    if (input.kind == SampleKind::kPromptLogprobs) {
      out->bad = !std::isfinite(top.value);
      if (out->bad) return;
      out->token = input.target;
      add_logprobs(input, params.num_prompt_logprobs, &scratch->top, out);
      return;
    }
    const float raw_top = top.value;
    std::span<const float> logits = input.logits;
    const LogitsEdit edit{params, *input.history, input.output_index, input.mask};
    const bool greedy = params.temperature < kGreedyTemperature;
    if (edits_logits(edit)) {
      scratch->logits.assign(logits.begin(), logits.end());
      edit_logits(scratch->logits, edit, &scratch->filter);
      logits = scratch->logits;
      top = row_max(logits);
    }
    TokenId token = top.index;
    out->nothing_allowed = top.is_finite && !std::isfinite(top.value) && std::isfinite(raw_top);
    if (!top.is_finite || !std::isfinite(top.value)) return;
    if (!greedy) {
      // Shifted first: the largest becomes 0, and nothing overflows however small the temperature.
      scratch->logits.resize(logits.size());
      shift_and_divide(scratch->logits, logits, top.value, params.temperature);
      logits = scratch->logits;
      const Cutoff cutoff = find_cutoff(logits, params, &scratch->filter);
      token = gumbel_draw(logits, cutoff, token, input.seed, input.output_index);
    }
    out->bad = false;
    out->token = token;
    add_logprobs(input, params.num_logprobs, &scratch->top, out);
  };

  if (inputs.size() == 1) {  // not worth waking the others
    sample_one(inputs[0], scratch_[0].get(), &outputs[0]);
    return;
  }
  const auto num_workers = static_cast<std::size_t>(pool.num_threads());
  pool.run([&](int worker) {
    const auto own = static_cast<std::size_t>(worker);
    for (std::size_t i = own; i < inputs.size(); i += num_workers)
      sample_one(inputs[i], scratch_[own].get(), &outputs[i]);
  });
}

}  // namespace pagoda
