#pragma once
#include <cstdint>
#include <span>

#include "sample/logits_filter.h"

namespace pagoda {

// One draw from softmax(logits) restricted to `cutoff`, by the Gumbel-max trick (Gumbel 1954; Maddison et al.
// 2014): the largest logit + noise wins, equal ones by lowest id. The noise of a token is a pure function of
// (seed, output_index, token): rows, batch and order of work do not enter. `logits` have their largest, at
// `most_probable`, at 0.
TokenId gumbel_draw(std::span<const float> logits, const Cutoff& cutoff, TokenId most_probable, uint64_t seed,
                    int32_t output_index);

}  // namespace pagoda
