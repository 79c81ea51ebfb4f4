#include "text/detokenizer.h"

#include "base/utf8.h"

namespace pagoda {

IncrementalDetokenizer::IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                                               bool skip_special_tokens, bool at_start)
    : tokenizer_(std::move(tokenizer)), skip_special_tokens_(skip_special_tokens), at_start_(at_start) {}

std::string IncrementalDetokenizer::push(int32_t id) {
  if (skip_special_tokens_ && tokenizer_->is_special(id)) return {};
  if (at_start_ && strip_left_ != 0)
    pending_ += tokenizer_->first_token_bytes(id, &strip_left_);
  else
    pending_ += tokenizer_->token_bytes(id);
  std::size_t complete = complete_utf8_prefix(pending_);
  std::string text = sanitize_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string IncrementalDetokenizer::finish() {
  std::string text = sanitize_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace pagoda
