#include "frontend/choice_text.h"

namespace pagoda {

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  failure_.reserve(strings_.size());
  for (const std::string& text : strings_) {
    std::vector<int32_t> next(text.size() + 1, 0);
    for (std::size_t i = 1, matched = 0; i < text.size(); ++i) {
      while (matched > 0 && text[i] != text[matched]) matched = static_cast<std::size_t>(next[matched]);
      if (text[i] == text[matched]) ++matched;
      next[i + 1] = static_cast<int32_t>(matched);
    }
    failure_.push_back(std::move(next));
  }
}

StopMatcher::StopMatcher(std::shared_ptr<const StopStrings> stops)
    : stops_(std::move(stops)), state_(stops_->strings_.size(), 0) {}

std::optional<StopMatcher::Match> StopMatcher::feed(std::string_view text, bool may_stop) {
  for (std::size_t i = 0; i < text.size() && !state_.empty(); ++i) {
    for (std::size_t s = 0; s < state_.size(); ++s) {
      const std::string& stop = stops_->strings_[s];
      const std::vector<int32_t>& failure = stops_->failure_[s];
      auto matched = static_cast<std::size_t>(state_[s]);
      while (matched > 0 && stop[matched] != text[i]) matched = static_cast<std::size_t>(failure[matched]);
      if (stop[matched] == text[i]) ++matched;
      if (matched == stop.size()) {
        if (may_stop) return Match{s, i + 1};
        matched = static_cast<std::size_t>(failure[matched]);
      }
      state_[s] = static_cast<int32_t>(matched);
    }
  }
  return std::nullopt;
}

std::size_t StopMatcher::held() const {
  return state_.empty() ? 0 : static_cast<std::size_t>(*std::max_element(state_.begin(), state_.end()));
}

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
