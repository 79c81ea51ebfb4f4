#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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

}  // namespace pagoda
