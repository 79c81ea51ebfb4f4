#include "frontend/choice_text.h"

namespace pagoda {

ChoiceText::ChoiceText(std::shared_ptr<const Tokenizer> tokenizer, std::shared_ptr<const StopStrings> stops,
                       bool skip_special_tokens, bool at_start, bool include_stop, int32_t min_tokens)
    : stops_(std::move(stops)), matcher_(stops_), include_stop_(include_stop), min_tokens_(min_tokens) {
  if (tokenizer != nullptr) detokenizer_.emplace(std::move(tokenizer), skip_special_tokens, at_start);
}

bool ChoiceText::push(int32_t token, int32_t num_output_tokens, std::string* out) {
  return detokenizer_ && append(detokenizer_->push(token), num_output_tokens, out);
}

void ChoiceText::finish(std::string* out) {
  *out += held_;
  held_.clear();
}

bool ChoiceText::append(const std::string& piece, int32_t num_output_tokens, std::string* out) {
  std::size_t before = held_.size();
  held_ += piece;
  auto match = matcher_.feed(piece, num_output_tokens > min_tokens_);
  if (match) {
    stopped_by_ = match->index;
    std::size_t end = before + match->end;
    out->append(held_, 0, include_stop_ ? end : end - stops_->strings()[match->index].size());
    held_.clear();
    return true;
  }
  // Both the text and the stop strings are UTF-8, so a match begins, and the cut falls, between characters.
  std::size_t sure = held_.size() - matcher_.held();
  out->append(held_, 0, sure);
  held_.erase(0, sure);
  return false;
}

}  // namespace pagoda
