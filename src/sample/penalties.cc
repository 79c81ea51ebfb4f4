#include "sample/penalties.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace pagoda {
namespace {

constexpr std::size_t kSlotsMin = 64;
constexpr int32_t kVacant = -1;

}  // namespace

void TokenCounts::reserve(std::size_t num_distinct) {
  all_.reserve(num_distinct);
  const std::size_t num_slots = std::max(kSlotsMin, std::bit_ceil(2 * num_distinct));
  if (num_slots > index_.size()) rebuild(num_slots);
}

SeenToken& TokenCounts::at(TokenId token) {
  if (2 * (all_.size() + 1) > index_.size()) rebuild(std::max(kSlotsMin, 2 * index_.size()));
  const std::size_t slot = slot_of(token);
  if (index_[slot] == kVacant) {
    index_[slot] = static_cast<int32_t>(all_.size());
    all_.push_back({token, 0, false});
  }
  return all_[static_cast<std::size_t>(index_[slot])];
}

// Where the token is, or would go.
std::size_t TokenCounts::slot_of(TokenId token) const {
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio (Knuth): spreads neighbours
  const std::size_t mask = index_.size() - 1;
  std::size_t slot = (static_cast<uint32_t>(token) * kGolden >> 32) & mask;
  while (index_[slot] != kVacant && all_[static_cast<std::size_t>(index_[slot])].token != token)
    slot = (slot + 1) & mask;
  return slot;
}

void TokenCounts::rebuild(std::size_t num_slots) {
  index_.assign(num_slots, kVacant);
  for (std::size_t i = 0; i < all_.size(); ++i) index_[slot_of(all_[i].token)] = static_cast<int32_t>(i);
}

bool has_penalties(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.frequency_penalty != 0 || params.presence_penalty != 0;
}

TokenHistory::TokenHistory(std::span<const TokenId> tokens, int32_t num_prompt_tokens,
                           const SamplingParams& params, int32_t capacity)
    : num_prompt_tokens_(num_prompt_tokens), counting_(has_penalties(params)) {
  tokens_.reserve(std::max(tokens.size(), static_cast<std::size_t>(capacity)));
  tokens_.assign(tokens.begin(), tokens.end());
  PAGODA_CHECK(num_prompt_tokens >= 0 && num_prompt_tokens <= size(), "a prompt within the sequence");
  if (!counting_) return;
  seen_.reserve(static_cast<std::size_t>(std::min(std::max(capacity, size()), kDistinctReserved)));
  for (int32_t i = 0; i < size(); ++i) {
    SeenToken& seen = seen_.at((*this)[i]);
    if (i < num_prompt_tokens)
      seen.in_prompt = true;
    else
      ++seen.output_count;
  }
}

void TokenHistory::append(TokenId token) {
  tokens_.push_back(token);
  if (counting_) ++seen_.at(token).output_count;
}

void TokenHistory::truncate(int32_t num_tokens) {
  PAGODA_CHECK(num_tokens >= num_prompt_tokens_, "only generated tokens are forgotten");
  while (size() > num_tokens) {
    if (counting_) --seen_.at(tokens_.back()).output_count;
    tokens_.pop_back();
  }
}

void apply_penalties(std::span<float> logits, const SamplingParams& params, const TokenHistory& history) {
  for (const SeenToken& seen : history.seen()) {
    float& logit = logits[static_cast<std::size_t>(seen.token)];
    if (!seen.in_prompt && seen.output_count == 0) continue;
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (seen.output_count == 0) continue;
    logit -= params.frequency_penalty * static_cast<float>(seen.output_count);
    logit -= params.presence_penalty;
  }
}

}  // namespace pagoda
