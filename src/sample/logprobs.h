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

// The `count` most probable, descending, equal ones by ascending id; all if there are fewer. Selected, not
// sorted, from the vocabulary.
void top_logprobs(std::span<const float> logits, double log_sum, int32_t count, std::vector<TopLogprob>* out,
                  std::vector<std::pair<float, TokenId>>* scratch);

}  // namespace pagoda
