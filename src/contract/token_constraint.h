#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "contract/types.h"

namespace pagoda {

// What a grammar allows next. Owned by the Request; used on the engine thread only.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // bits: [ceil(vocab_size / 32)], 1 = allowed.
  virtual void fill_mask(std::span<uint32_t> bits) const = 0;
  // False: not allowed, and the state is unchanged.
  virtual bool accept(TokenId token) = 0;
  // Undoes the last accepted tokens (speculation).
  virtual void rollback(int num_tokens) = 0;
  // Tokens that can be the only continuation, if any.
  virtual void forced_tokens(std::vector<TokenId>*) const {}
  virtual std::unique_ptr<TokenConstraint> clone() const = 0;
};

}  // namespace pagoda
