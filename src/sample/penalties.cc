#include "sample/penalties.h"

#include <utility>

#include "base/check.h"

namespace pagoda {

bool has_penalties(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.frequency_penalty != 0 || params.presence_penalty != 0;
}

TokenHistory::TokenHistory(std::vector<TokenId> tokens, int32_t num_prompt_tokens,
                           const SamplingParams& params)
    : tokens_(std::move(tokens)), num_prompt_tokens_(num_prompt_tokens), counting_(has_penalties(params)) {
  PAGODA_CHECK(num_prompt_tokens >= 0 && num_prompt_tokens <= size(), "a prompt within the sequence");
  if (!counting_) return;
  for (int32_t i = 0; i < size(); ++i) {
    Seen& seen = seen_[(*this)[i]];
    if (i < num_prompt_tokens)
      seen.in_prompt = true;
    else
      ++seen.output_count;
  }
}

void TokenHistory::append(TokenId token) {
  tokens_.push_back(token);
  if (counting_) ++seen_[token].output_count;
}

void TokenHistory::truncate(int32_t num_tokens) {
  PAGODA_CHECK(num_tokens >= num_prompt_tokens_, "only generated tokens are forgotten");
  while (size() > num_tokens) {
    if (counting_) --seen_[tokens_.back()].output_count;
    tokens_.pop_back();
  }
}

void apply_penalties(std::span<float> logits, const SamplingParams& params, const TokenHistory& history) {
  for (const auto& [token, seen] : history.seen()) {
    float& logit = logits[static_cast<std::size_t>(token)];
    if (!seen.in_prompt && seen.output_count == 0) continue;
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (seen.output_count == 0) continue;
    logit -= params.frequency_penalty * static_cast<float>(seen.output_count);
    logit -= params.presence_penalty;
  }
}

}  // namespace pagoda
