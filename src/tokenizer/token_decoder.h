// The `decoder` member of tokenizer.json, reduced to two questions: which bytes a token stands for, and what
// is dropped at the beginning of a text. All kinds that are built have this form, and it is what makes
// streaming exact: the text of a sequence is the bytes of its tokens, one after the other, with ill-formed
// UTF-8 replaced.
//
// In one place this differs from `tokenizers`: there an ill-formed run of byte tokens becomes one U+FFFD per
// byte, its well-formed characters included; here only the ill-formed parts are replaced.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/value.h"

namespace pagoda {

// What is dropped at the beginning of a text.
struct StartRule {
  int strip_max = 0;        // up to so many times `strip`, from the first bytes of the text
  std::string strip;        // one character
  bool drop_marks = false;  // Metaspace: every mark of the first token
};

class TokenDecoder {
 public:
  // `json`: the member, or nullptr for none; then the bytes are those of the byte-level alphabet if
  // `byte_level`, and the spellings as they are otherwise. Kinds: ByteLevel, Metaspace, Replace (String),
  // ByteFallback, Fuse, Strip, Sequence.
  static Result<TokenDecoder> from_json(const Value* json, bool byte_level);

  // The bytes that a token stands for within a text.
  std::string token_bytes(std::string_view spelling) const;
  // The same at the beginning of a text, before StartRule::strip.
  std::string first_token_bytes(std::string_view spelling) const;
  const StartRule& start_rule() const { return start_; }

 private:
  struct Step {
    enum class Kind : uint8_t { kByteLevel, kReplace, kByteFallback, kStrip };
    Kind kind;
    std::string from, to;                     // kReplace; kStrip: `from` is the character
    int64_t strip_start = 0, strip_stop = 0;  // kStrip of single tokens
  };
  Status add(const Value& json, const std::string& path, int depth);
  Status add_replace(const Value& json, const std::string& path);
  Status add_metaspace(const Value& json, const std::string& path);
  Status add_strip(const Value& json, const std::string& path);
  Status after_fuse(const std::string& path) const;
  std::string apply(std::string_view spelling, bool drop_marks) const;

  std::vector<Step> steps_;
  double growth_ = 1;  // what one byte of a spelling may become, in bytes
  bool fused_ = false;
  std::string mark_;  // of Metaspace
  StartRule start_;
};

}  // namespace pagoda
