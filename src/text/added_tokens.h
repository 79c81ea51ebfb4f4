// Tokens that are found in the text before anything else happens to it, leftmost first and the longest of
// those: the `added_tokens` member of tokenizer.json, and what the files beside it add. Immutable and safe to
// use from any thread.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

struct AddedToken {
  // What becomes of an earlier one of the same content: this one's rules hold, or its own still do.
  enum class Known : uint8_t { kReplaced, kKept, kMadeSpecial };

  int32_t id = -1;  // where the file wants it; -1: it does not say
  std::string content;
  bool special = false;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes in the white space before it
  bool rstrip = false;       // takes in the white space behind it
  bool normalized = true;    // looked for in the normalized text
  Known known = Known::kReplaced;
};

// `json`: the member, or nullptr for none.
Result<std::vector<AddedToken>> read_added_tokens(const Value* json);
// Each content once, in order of first mention, nothing empty: later mentions have changed the rules as their
// `known` says, but what was special once stays so: as in `tokenizers`.
std::vector<AddedToken> merge_added_tokens(std::vector<AddedToken> tokens);

// Takes the parts of a text in order: stretches without added tokens, and added tokens.
class AddedTokenSink {
 public:
  virtual ~AddedTokenSink() = default;
  virtual void plain(std::string_view text, bool at_start) = 0;
  virtual void token(int32_t id) = 0;
};

// Finds a fixed set of patterns.
class AddedTokenMatcher {
 public:
  // `pattern` is what to look for: the content, or its normalized form. An empty pattern is never found.
  void add(const AddedToken& token, std::string_view pattern);
  bool empty() const { return tokens_.empty(); }
  // `at_start`: `text` begins where the whole input begins. With `skip_special`, special tokens are plain
  // text. Requires: valid UTF-8.
  void split(std::string_view text, bool at_start, bool skip_special, AddedTokenSink* sink) const;

 private:
  // A trie; the children of a node are a list.
  struct Node {
    unsigned char byte = 0;
    int32_t first_child = -1, next_sibling = -1;
    int32_t token = -1;  // index into tokens_ of the pattern that ends here
  };
  int32_t child(int32_t node, unsigned char byte) const;
  // The longest pattern that begins at `pos`: index into tokens_ and its end; -1 if none.
  int32_t longest(std::string_view text, std::size_t pos, bool skip_special, std::size_t* end) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> begins_{};  // bytes that some pattern begins with
  int first_byte_ = -1;             // if there is only one such byte; -2 if there are several
};

}  // namespace pagoda
