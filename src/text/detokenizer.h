// Token ids to text, piece by piece: what the streaming answers show.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "text/tokenizer.h"

namespace pagoda {

// One per choice. Not thread-safe. The concatenation of all pieces equals the decoding of the whole answer as
// a continuation of the prompt; no piece ends inside a UTF-8 sequence. Ill-formed bytes become U+FFFD, at the
// latest in finish().
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

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_tokens_, at_start_;
  int strip_left_ = -1;  // state of the leading-space rule
  std::string pending_;  // bytes of an unfinished character, at most 3
};

}  // namespace pagoda
