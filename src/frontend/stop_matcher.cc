#include "frontend/stop_matcher.h"

#include <algorithm>

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

}  // namespace pagoda
