#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "contract/step_result.h"

namespace pagoda {

// log(sum(exp(logits))): float32 in, exponentials and sum in double, in one fixed order. [vocab] may hold
// -infinity, but something finite too.
double log_sum_exp(std::span<const float> logits);

struct TokenLogprob {
  float logprob;
  int32_t rank;  // 1-based place among the logits in descending order, equal ones by ascending id
};
TokenLogprob token_logprob(std::span<const float> logits, double log_sum, TokenId token);

// The out.size() most probable, descending, equal ones by ascending id. Selected, not sorted, from the
// vocabulary. Requires: no more than the vocabulary has.
void top_logprobs(std::span<const float> logits, double log_sum, std::span<TopLogprob> out,
                  std::vector<std::pair<float, TokenId>>* scratch);

}  // namespace pagoda
