// The text room: text <-> token ids, chat templates, incremental detokenizing. It knows files' contents,
// never paths or requests. Tokenizer is immutable after it is made and safe to use from any thread; the only
// thing that threads keep of it is a table of 2 MiB each with the ids of recent pieces.
//
// The format is Hugging Face's tokenizer.json: BPE in two kinds, byte-level (GPT-2, Llama 3, Qwen, Falcon)
// and SentencePiece-style with byte fallback (Llama 2, Mistral, Phi-3). What it refuses: other models
// (WordPiece, Unigram) and steps that no decoder-only model uses, by name.
//
// A text goes: added tokens (raw) | normalizer | added tokens (normalized) | pre-tokenizer | BPE. Special
// tokens written in a text become their ids unless the caller says otherwise, also where a user wrote them:
// as in vLLM.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tokenizer/added_tokens.h"

namespace pagoda {

struct EncodeOptions {
  bool add_special_tokens = false;  // what the post-processor adds: BOS, at times EOS
  bool parse_special = true;        // special tokens written in the text become their ids
};

struct TokenizerOptions {
  bool piece_cache = true;               // off: for measuring
  std::vector<AddedToken> added_tokens;  // behind those of tokenizer.json
};

class Tokenizer {
 public:
  // From the text of tokenizer.json. Error kInvalidArgument names the member that is missing, wrong or of a
  // kind that is not built (WordPiece, Unigram).
  static Result<std::shared_ptr<const Tokenizer>> from_json(std::string_view tokenizer_json,
                                                            const TokenizerOptions& options = {});
  virtual ~Tokenizer() = default;

  // Appends the ids of `text`. Ill-formed UTF-8 is read as U+FFFD. Time is O(n log n) for every input. Once
  // the work is cancelled (base/cancel.h) it ends soon, and *ids is empty.
  virtual void encode(std::string_view text, const EncodeOptions& options,
                      std::vector<int32_t>* ids) const = 0;
  // The text of a whole sequence, as `tokenizers` decodes it (leading-space rule included). Ill-formed bytes
  // become U+FFFD, one for each maximal ill-formed part. Ids outside of the vocabulary decode to nothing.
  virtual std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const = 0;

  // 1 + the largest id.
  virtual int32_t vocab_size() const = 0;
  // The id of a token by its exact spelling in the vocabulary or among the added tokens.
  virtual std::optional<int32_t> token_to_id(std::string_view token) const = 0;
  // The spelling in the vocabulary ("Ġhello", "▁the", "<0x0A>", "<s>"); empty for an unknown id.
  virtual std::string_view id_to_token(int32_t id) const = 0;
  // The bytes that this token stands for within a text (" hello", " the", "\n"), before any leading-space
  // rule; for an added token its content. Not always valid UTF-8 by itself. Empty for an unknown id.
  virtual std::string_view token_bytes(int32_t id) const = 0;
  virtual bool is_special(int32_t id) const = 0;
  // True if the decoder strips one leading space from the first token of a sequence (SentencePiece style).
  virtual bool strips_leading_space() const = 0;
  // The bytes to show for `id` while nothing has been shown yet of a text, after the leading-space rule.
  // `strip_left` is the rule's state over the first tokens: start with -1.
  virtual std::string first_token_bytes(int32_t id, int* strip_left) const = 0;
};

}  // namespace pagoda
