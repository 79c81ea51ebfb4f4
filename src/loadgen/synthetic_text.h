#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "tokenizer/tokenizer.h"

namespace pagoda {

// One request of a load.
struct BenchPrompt {
  std::string text;                   // sent unless there are ids
  std::vector<int32_t> ids;           // sent as they are
  int64_t prompt_len = 0;             // tokens as the client counts them
  int64_t output_len = 0;             // most tokens to generate
  std::optional<double> timestamp_s;  // of a trace, after its first request
};

// Makes prompts of a wanted length out of nothing, in one of three ways:
//   text   random tokens of a tokenizer, decoded, and mended until they encode to that many tokens again;
//   ids    random token ids, sent as they are: exact, and nothing to tokenize;
//   words  random English words, one for each token wanted, where there is no tokenizer: the length in tokens
//          is a guess.
// A piece of prompt is a list of units (ids or numbers of words), so that prompts can share pieces.
class SyntheticText {
 public:
  static SyntheticText as_text(std::shared_ptr<const Tokenizer> tokenizer);
  static SyntheticText as_ids(std::shared_ptr<const Tokenizer> tokenizer);
  static SyntheticText as_ids(int32_t vocab_size);
  static SyntheticText as_words();

  std::vector<int32_t> draw(int64_t count, SplitMix64* rng) const;
  // As many tokens as units, special tokens that the server will add included.
  BenchPrompt make(std::vector<int32_t> units, SplitMix64* rng) const;
  // Tokens of a given text; without a tokenizer a guess (4 bytes each).
  int64_t count_tokens(std::string_view text) const;
  bool has_tokenizer() const { return tokenizer_ != nullptr; }
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }

 private:
  enum class Kind { kText, kIds, kWords };
  SyntheticText(Kind kind, std::shared_ptr<const Tokenizer> tokenizer, int32_t num_units);

  Kind kind_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<int32_t> units_;  // the ids to choose from; empty: all below num_units_
  int32_t num_units_;
  int64_t num_special_ = 0;  // tokens that the server adds to a text
};

}  // namespace pagoda
