#include "tokenizer/detokenizer.h"

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
  const std::size_t complete = complete_utf8_prefix(pending_);
  std::string text = sanitize_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  std::size_t sure = text.size();
  while (std::string_view(text).substr(0, sure).ends_with(kReplacementText)) sure -= kReplacementText.size();
  const std::size_t to_hold = (text.size() - sure) / kReplacementText.size();
  if (sure == 0) {
    withheld_ += to_hold;
    return {};
  }
  text.resize(sure);
  return release(to_hold, std::move(text));
}

std::string IncrementalDetokenizer::finish() {
  std::string text = sanitize_utf8(pending_);
  pending_.clear();
  return release(0, std::move(text));
}

std::string IncrementalDetokenizer::release(std::size_t to_hold, std::string text) {
  if (withheld_ > 0) {
    std::string before;
    for (; withheld_ > 0; --withheld_) before += kReplacementText;
    text.insert(0, before);
  }
  withheld_ = to_hold;
  num_characters_ += count_code_points(text);
  return text;
}

}  // namespace pagoda
