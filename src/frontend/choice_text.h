#pragma once
#include <memory>
#include <optional>
#include <string>

#include "frontend/stop_matcher.h"
#include "tokenizer/detokenizer.h"

namespace pagoda {

// The text of one choice as its tokens come: detokenized, searched for stop strings, held back no longer than
// a stop string may still be complete.
class ChoiceText {
 public:
  // tokenizer null: there is no text. at_start: see IncrementalDetokenizer.
  ChoiceText(std::shared_ptr<const Tokenizer> tokenizer, std::shared_ptr<const StopStrings> stops,
             bool skip_special_tokens, bool at_start, bool include_stop, int32_t min_tokens);

  // Appends what has become certain to `out`. True: a stop string is complete, and nothing follows.
  bool push(int32_t token, int32_t num_output_tokens, std::string* out);
  // The end of the tokens: appends what was held back, but for bytes at the end that are no characters.
  void finish(std::string* out);
  // Of the text so far, with what is held back for a stop string.
  std::size_t num_characters() const { return detokenizer_ ? detokenizer_->num_characters() : 0; }
  // Requires: push has returned true.
  const std::string& stop_string() const { return stops_->strings()[*stopped_by_]; }

 private:
  bool append(const std::string& piece, int32_t num_output_tokens, std::string* out);

  std::shared_ptr<const StopStrings> stops_;
  std::optional<IncrementalDetokenizer> detokenizer_;
  StopMatcher matcher_;
  bool include_stop_;
  int32_t min_tokens_;
  std::string held_;
  std::optional<std::size_t> stopped_by_;
};

}  // namespace pagoda
