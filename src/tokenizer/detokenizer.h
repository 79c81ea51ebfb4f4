// Token ids to text, piece by piece: what the streaming answers show.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "tokenizer/tokenizer.h"

namespace pagoda {

// One per choice. Not thread-safe. The concatenation of all pieces equals the decoding of the whole answer as
// a continuation of the prompt; no piece ends inside a UTF-8 sequence. Ill-formed bytes become U+FFFD, once
// text follows them or in finish(): an answer that ends in bytes which are no characters ends before them.
class IncrementalDetokenizer {
 public:
  // `at_start`: the answer is the beginning of a text (empty prompt), so that the leading-space rule applies
  // to it; all pieces together are then Tokenizer::decode of the ids.
  IncrementalDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special_tokens,
                         bool at_start = false);
  // The text that has become certain with this token; may be empty.
  std::string push(int32_t id);
  // What was held back. The detokenizer then goes on within the same text.
  std::string finish();
  // Of all pieces so far.
  std::size_t num_characters() const { return num_characters_; }

 private:
  // What was withheld and this; so many U+FFFD behind it are withheld.
  std::string release(std::size_t to_hold, std::string text);

  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_tokens_, at_start_;
  int strip_left_ = -1;       // state of the leading-space rule
  std::string pending_;       // bytes of an unfinished character, at most 3
  std::size_t withheld_ = 0;  // U+FFFD before them
  std::size_t num_characters_ = 0;
};

}  // namespace pagoda
