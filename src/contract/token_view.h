#pragma once
#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "contract/types.h"

namespace pagoda {

// A sequence's tokens where they lie: the prompt, which choices share, and the output behind it.
class TokenView {
 public:
  TokenView(std::span<const TokenId> prompt, std::span<const TokenId> output = {})  // NOLINT: implicit
      : prompt_(prompt), output_(output) {}
  TokenView(const std::vector<TokenId>& tokens) : prompt_(tokens) {}  // NOLINT: implicit

  std::size_t size() const { return prompt_.size() + output_.size(); }
  TokenId operator[](std::size_t i) const {
    return i < prompt_.size() ? prompt_[i] : output_[i - prompt_.size()];
  }
  // Tokens begin .. begin + count - 1, to the end of `out`. Requires: there are as many.
  void append_to(std::vector<TokenId>* out, std::size_t begin, std::size_t count) const {
    const std::size_t cut = prompt_.size(), end = begin + count;
    auto append = [out](std::span<const TokenId> part) { out->insert(out->end(), part.begin(), part.end()); };
    if (begin < cut) append(prompt_.subspan(begin, std::min(end, cut) - begin));
    if (end > cut) append(output_.subspan(std::max(begin, cut) - cut, end - std::max(begin, cut)));
  }
  // The same in one piece; those that lie in both parts are copied to `scratch`.
  std::span<const TokenId> slice(std::size_t begin, std::size_t count, std::vector<TokenId>* scratch) const {
    if (begin + count <= prompt_.size()) return prompt_.subspan(begin, count);
    if (begin >= prompt_.size()) return output_.subspan(begin - prompt_.size(), count);
    scratch->clear();
    append_to(scratch, begin, count);
    return *scratch;
  }

 private:
  std::span<const TokenId> prompt_, output_;
};

}  // namespace pagoda
