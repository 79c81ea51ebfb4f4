#pragma once
#include <cstdint>
#include <span>

#include "contract/sampling_params.h"
#include "sample/penalties.h"

namespace pagoda {

// What changes a row of logits before temperature, behind the grammar's mask. In this order:
// allowed_token_ids, bad_words, min_tokens (no EOS and no stop id before), logit_bias, penalties. What is not
// allowed becomes -infinity and stays so.
struct LogitsEdit {
  const SamplingParams& params;
  const TokenHistory& history;  // tokens before the one to be sampled
  int32_t output_index;
};
bool edits_logits(const LogitsEdit& edit);
// Keeps its memory from call to call.
struct FilterScratch {
  std::vector<float> values;
  std::vector<double> mass;
  std::vector<std::pair<float, TokenId>> tokens;
};
void edit_logits(std::span<float> logits, const LogitsEdit& edit, FilterScratch* scratch);

// What is left of a distribution: token i stays if logit[i] > logit, or if it is equal and i <= token.
struct Cutoff {
  float logit;
  TokenId token;
  bool keeps(float other, TokenId id) const { return other > logit || (other == logit && id <= token); }
};
// min_p, then top_k, then top_p (of what min_p and top_k leave). `logits` are scaled by temperature and
// shifted so that the largest is 0; -infinity is never kept. Ties: top_k keeps every token equal to the k-th;
// top_p takes tokens in descending order, equal ones by ascending id, until their mass is at least top_p, so
// at least one.
Cutoff find_cutoff(std::span<const float> logits, const SamplingParams& params, FilterScratch* scratch);

// The k-th largest, found without sorting; -infinity if fewer are above that. Requires: k > 0.
float kth_largest(std::span<const float> values, std::size_t k, std::vector<float>* scratch);

}  // namespace pagoda
