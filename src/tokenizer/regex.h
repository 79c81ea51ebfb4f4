// Regular expressions as `tokenizers` reads them (Oniguruma, Unicode), run by PCRE2. Immutable and safe to
// use from any thread. The only includer of PCRE2.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

class Regex {
 public:
  // Error kInvalidArgument with the offset in the pattern. A pattern that PCRE2 would read in another sense
  // (class intersections, nested classes) is refused rather than misread.
  static Result<Regex> compile(std::string_view pattern);

  // The leftmost match that begins at or after `from`. Requires: `text` is valid UTF-8 and `from` lies on a
  // character's start. Bounded in steps and memory: a match that runs into a bound counts as none.
  bool find(std::string_view text, std::size_t from, std::size_t* begin, std::size_t* end) const;
  // A lower bound of the characters of a match.
  int min_chars() const;

  // find() again and again in one text, bounded as a whole: once the steps that backtracking took beyond a
  // few for each match exceed what the text's length allows, there are no more matches. The regex and the
  // text outlive it.
  class Search {
   public:
    Search(const Regex& regex, std::string_view text);
    bool find(std::size_t from, std::size_t* begin, std::size_t* end);

   private:
    const Regex& regex_;
    std::string_view text_;
    int64_t steps_left_;
  };

 private:
  // The result of PCRE2: positive for a match.
  int match(std::string_view text, std::size_t from, uint32_t steps_max, std::size_t* begin,
            std::size_t* end) const;

  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

// What the `pattern` of a step in tokenizer.json matches: {"String": a text, not empty} or {"Regex": its
// source}.
struct StepPattern {
  std::string text;  // or source
  std::optional<Regex> regex;
};
// Of the step at `path`. Errors kInvalidArgument name what is wrong with it.
Result<StepPattern> pattern_field(const Value& step, const std::string& path);

// The pattern in PCRE2's dialect. Exposed for tests.
Result<std::string> translate_pattern(std::string_view pattern);

}  // namespace pagoda
