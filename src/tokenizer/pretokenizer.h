// The `pre_tokenizer` member of tokenizer.json: cuts a normalized text into the pieces that BPE works on, one
// after the other, without keeping them. Immutable and safe to use from any thread.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "base/variant.h"
#include "tokenizer/regex.h"
#include "tokenizer/scanner.h"

namespace pagoda {

// Takes the pieces in order. A piece is valid during the call only.
class PieceSink {
 public:
  virtual ~PieceSink() = default;
  virtual void piece(std::string_view text) = 0;
};

// What becomes of the matches of a split.
enum class SplitBehavior : uint8_t { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

class PreTokenizer {
 public:
  // `json`: the member, or nullptr for none. Kinds: Split, ByteLevel, Metaspace, Punctuation, Digits,
  // WhitespaceSplit, Sequence.
  static Result<PreTokenizer> from_json(const Value* json);

  // Hands the pieces of `text` to `sink`: raw bytes if byte_level(), otherwise UTF-8. `at_start`: the text
  // begins where the whole input begins. Requires: valid UTF-8.
  void run(std::string_view text, bool at_start, PieceSink* sink) const;

  // True if the vocabulary is written in the byte-level alphabet.
  bool byte_level() const { return byte_level_; }
  // True if no space is left after this: Metaspace.
  bool replaces_space() const;

 private:
  enum class CharKind : uint8_t { kPunctuation, kNumeric, kWhiteSpace };
  struct SplitRegex {
    Regex regex;
    std::optional<Scanner> scanner;  // set: gives the same pieces faster
    SplitBehavior behavior;
    bool invert;
  };
  struct SplitText {
    std::string separator;
    SplitBehavior behavior;
    bool invert;
  };
  struct SplitChars {
    CharKind kind;
    SplitBehavior behavior;
  };
  // `last`: no step follows, so that the bytes need not be spelled out.
  struct ByteLevel {
    bool add_prefix_space, use_regex, last;
  };
  enum class Prepend : uint8_t { kNever, kFirst, kAlways };
  struct Metaspace {
    std::string replacement;  // one character
    Prepend prepend;
    bool split;
  };
  using Step = Variant<SplitRegex, SplitText, SplitChars, ByteLevel, Metaspace>;
  struct Piece {
    std::string_view text;
    bool at_start;
    bool spelled;  // in the byte-level alphabet
  };

  Status add(const Value& json, const std::string& path, int depth);
  Status add_split(const Value& json, const std::string& path);
  Status add_byte_level(const Value& json, const std::string& path);
  Status add_metaspace(const Value& json, const std::string& path);
  void finish();  // marks the last step, drops steps that do nothing

  void run_step(std::size_t step, const Piece& piece, PieceSink* sink) const;
  // Bytes [begin, end) of a piece to the step after this one.
  void hand_on(std::size_t step, const Piece& piece, std::size_t begin, std::size_t end,
               PieceSink* sink) const;
  void split_regex(const SplitRegex& split, std::size_t step, const Piece& piece, PieceSink* sink) const;
  void split_text(const SplitText& split, std::size_t step, const Piece& piece, PieceSink* sink) const;
  void split_chars(const SplitChars& split, std::size_t step, const Piece& piece, PieceSink* sink) const;
  void run_byte_level(const ByteLevel& byte_level, std::size_t step, const Piece& piece,
                      PieceSink* sink) const;
  void run_metaspace(const Metaspace& metaspace, std::size_t step, const Piece& piece, PieceSink* sink) const;

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace pagoda
