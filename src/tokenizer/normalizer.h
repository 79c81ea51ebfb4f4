// The `normalizer` member of tokenizer.json: what happens to a text before it is cut into pieces. What its
// steps can make of a text is bounded when it is read. Immutable and safe to use from any thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "base/variant.h"
#include "tokenizer/nfc.h"
#include "tokenizer/regex.h"

namespace pagoda {

class Normalizer {
 public:
  // `json`: the member, or nullptr for none. Kinds: NFC, NFD, NFKC, NFKD, Prepend, Replace (String or Regex),
  // Sequence.
  static Result<Normalizer> from_json(const Value* json);

  bool empty() const { return steps_.empty(); }
  // Requires: valid UTF-8; so is the result.
  std::string normalize(std::string_view text) const;
  // True if no space is left after normalizing: one becomes another character ("▁").
  bool replaces_space() const;

 private:
  struct Form {
    NormalForm form;
  };
  struct Prepend {
    std::string prefix;  // put before a text that is not empty
  };
  struct ReplaceText {
    std::string from, to;
  };
  struct ReplaceRegex {
    Regex from;
    std::string to;
  };
  using Step = Variant<Form, Prepend, ReplaceText, ReplaceRegex>;

  Status add(const Value& json, const std::string& path, int depth);
  void add_form(NormalForm form, double growth);
  Status add_replace(const Value& json, const std::string& path);
  static std::string apply(const Step& step, std::string text);

  std::vector<Step> steps_;
  double growth_ = 1;       // what one byte may become, in bytes
  double form_growth_ = 1;  // the part of it that is the normal forms': a second one adds nothing
};

}  // namespace pagoda
