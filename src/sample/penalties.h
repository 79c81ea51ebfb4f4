#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "contract/sampling_params.h"
#include "contract/types.h"

namespace pagoda {

struct SeenToken {
  TokenId token;
  int32_t output_count;  // how often it was generated
  bool in_prompt;
};

// The distinct tokens of one sequence. They lie side by side, for penalties go over all of them at every
// step; an open-addressing index (linear probing, at most half full) finds a token's place.
class TokenCounts {
 public:
  // No memory is asked for before there are more than `num_distinct` of them.
  void reserve(std::size_t num_distinct);
  // The entry of this token, a new one if there is none. Valid until the next call.
  SeenToken& at(TokenId token);
  std::span<const SeenToken> all() const { return all_; }  // in order of first sight

 private:
  void rebuild(std::size_t num_slots);
  std::size_t slot_of(TokenId token) const;

  std::vector<SeenToken> all_;
  std::vector<int32_t> index_;  // place in all_, or -1; a power of two long
};

// A sequence's tokens as sampling looks back on them: the prompt, what was generated, and (only if `params`
// has a penalty) how often each token occurred.
class TokenHistory {
 public:
  TokenHistory() = default;
  // Takes room for `capacity` tokens at once: appending up to so many asks for no memory (with penalties: as
  // long as no more than kDistinctReserved of them differ).
  TokenHistory(std::span<const TokenId> tokens, int32_t num_prompt_tokens, const SamplingParams& params,
               int32_t capacity = 0);
  static constexpr int32_t kDistinctReserved = 4096;

  void append(TokenId token);
  // Forgets generated tokens until `num_tokens` are left. Requires: num_tokens >= the prompt's length.
  void truncate(int32_t num_tokens);

  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }
  int32_t num_prompt_tokens() const { return num_prompt_tokens_; }
  TokenId operator[](int32_t position) const { return tokens_[static_cast<std::size_t>(position)]; }
  std::span<const TokenId> output() const {
    return std::span<const TokenId>(tokens_).subspan(static_cast<std::size_t>(num_prompt_tokens_));
  }

  std::span<const SeenToken> seen() const { return seen_.all(); }

 private:
  std::vector<TokenId> tokens_;
  int32_t num_prompt_tokens_ = 0;
  bool counting_ = false;
  TokenCounts seen_;
};

bool has_penalties(const SamplingParams& params);

// Repetition (of prompt or output: positive logits are divided, others multiplied), then frequency (times the
// count in the output) and presence (once) subtracted. logits: [vocab].
void apply_penalties(std::span<float> logits, const SamplingParams& params, const TokenHistory& history);

}  // namespace pagoda
