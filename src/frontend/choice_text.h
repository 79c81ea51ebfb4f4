// The text of a choice as its tokens come, its stop strings, and where its tokens lie in it. Internal to this
// room; one thread.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "contract/text_delta.h"
#include "tokenizer/detokenizer.h"

namespace pagoda {

// The stop strings of a request with their failure tables (Knuth, Morris, Pratt 1977); shared by its choices.
class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> strings);
  const std::vector<std::string>& strings() const { return strings_; }

 private:
  friend class StopMatcher;
  std::vector<std::string> strings_;
  std::vector<std::vector<int32_t>> failure_;  // [string][matched bytes] -> the next shorter match
};

// Follows one choice's text byte by byte through all stop strings at once, in time linear to the text (per
// string) whatever the pieces are.
class StopMatcher {
 public:
  explicit StopMatcher(std::shared_ptr<const StopStrings> stops);

  struct Match {
    std::size_t index;  // of the stop string
    std::size_t end;    // bytes of `text` up to and including the stop string's last one
  };
  // The first stop string that ends in `text` (of several ending at one byte the first listed), if
  // `may_stop`; those that end while it is false do not count. After a match nothing more is fed.
  std::optional<Match> feed(std::string_view text, bool may_stop);
  // Bytes at the end of the text so far that may be the beginning of a stop string: at most those are to be
  // held back.
  std::size_t held() const;

 private:
  std::shared_ptr<const StopStrings> stops_;
  std::vector<int32_t> state_;  // [string]: bytes matched
};

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

// Gives each token of a text, in their order, its name and its place for log-probabilities.
class TokenPlaces {
 public:
  // The token has taken the text from so many characters to so many. What a token is called need not all be
  // in the text (special tokens are left out, a leading space goes), and the token that completes a character
  // is called by all since it was begun.
  void place(std::size_t before, std::size_t after, TokenLogprobText* token) {
    if (open_.empty()) begin_ = before;
    const std::size_t length = count_code_points(token_name(open_, token->token.bytes));
    std::size_t offset = begin_;
    if (length > 0) offset = before == after ? before : std::max(begin_, after - std::min(after, length));
    token->text_offset = static_cast<int32_t>(offset);
    token->open = open_;
    open_ = open_after(open_, token->token.bytes);
  }

 private:
  std::string open_;
  std::size_t begin_ = 0;  // of the text that tokens since open_ was empty have taken
};

}  // namespace pagoda
