#pragma once
#include <algorithm>
#include <string>

#include "base/utf8.h"
#include "contract/text_delta.h"
#include "contract/token_name.h"

namespace pagoda {

// Gives each token of a text, in their order, its name and its place for log-probabilities.
class TokenPlaces {
 public:
  // The token has taken the text from so many characters to so many. What a token is called need not all be
  // in the text (special tokens are left out, a leading space goes).
  void place(std::size_t before, std::size_t after, TokenLogprobText* token) {
    const std::size_t length = count_code_points(token_name(open_, token->token.bytes));
    token->text_offset = static_cast<int32_t>(std::max(before, after - std::min(after, length)));
    token->open = open_;
    open_ = open_after(open_, token->token.bytes);
  }

 private:
  std::string open_;
};

}  // namespace pagoda
