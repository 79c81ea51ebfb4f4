// Tokens that are found in the text before anything else happens to it, leftmost first and the longest of
// those: the `added_tokens` member of tokenizer.json, and what the files beside it add. Immutable and safe to
// use from any thread.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
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

// Finds a fixed set of patterns, a text to look for and its token each: the content, or its normalized form.
class AddedTokenMatcher {
 public:
  using Pattern = std::pair<std::string, const AddedToken*>;

  AddedTokenMatcher() = default;
  // An empty pattern is never found; of two alike the later one is.
  explicit AddedTokenMatcher(std::vector<Pattern> patterns);
  bool empty() const { return rules_.empty(); }
  // `at_start`: `text` begins where the whole input begins. With `skip_special`, special tokens are plain
  // text. Requires: valid UTF-8.
  void split(std::string_view text, bool at_start, bool skip_special, AddedTokenSink* sink) const;

 private:
  struct Rule {
    int32_t id;
    bool special, single_word, lstrip, rstrip;
  };
  // Of a trie in which what nothing branches off from is one step (Morrison, JACM 1968): at most two nodes
  // per pattern, the children of one next to each other.
  struct Node {
    uint32_t label = 0, label_size = 0;  // in labels_: what leads here from the parent
    uint32_t first_child = 0, num_children = 0;
    int32_t rule = -1;  // index into rules_ of the pattern that ends here
  };
  struct Range;
  void grow(std::size_t node, const Range& range, const std::vector<Pattern>& sorted,
            std::vector<Range>* waiting);
  // The longest pattern that begins at `pos`: index into rules_ and its end; -1 if none.
  int32_t longest(std::string_view text, std::size_t pos, bool skip_special, std::size_t* end) const;

  std::vector<Rule> rules_;
  std::vector<Node> nodes_;
  std::string labels_;
  std::string first_bytes_;         // [nodes]: of the labels; the root's is not looked at
  std::array<bool, 256> begins_{};  // bytes that some pattern begins with
  int first_byte_ = -1;             // if there is only one such byte; -2 if there are several
};

}  // namespace pagoda
