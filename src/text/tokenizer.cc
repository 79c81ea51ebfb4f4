#include "text/tokenizer.h"

#include <unordered_map>

#include "base/cancel.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/json_fields.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pretokenizer.h"

namespace pagoda {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 30;
constexpr std::size_t kValuesMax = std::size_t{16} << 20;  // a million merges have three each

class BpeTokenizer final : public Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> load(const Value& json, const TokenizerOptions& options);

  void encode(std::string_view text, const EncodeOptions& options, std::vector<int32_t>* ids) const override;
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const override;
  int32_t vocab_size() const override { return static_cast<int32_t>(spellings_.size()); }
  std::optional<int32_t> token_to_id(std::string_view token) const override;
  std::string_view id_to_token(int32_t id) const override {
    return known(id) ? std::string_view(spellings_[static_cast<std::size_t>(id)]) : std::string_view();
  }
  std::string_view token_bytes(int32_t id) const override;
  bool is_special(int32_t id) const override { return known(id) && special_[static_cast<std::size_t>(id)]; }
  bool strips_leading_space() const override {
    return decoder_.start_rule().drop_marks ||
           (decoder_.start_rule().strip_max > 0 && decoder_.start_rule().strip == " ");
  }
  std::string first_token_bytes(int32_t id, int* strip_left) const override;

 private:
  class Encoding;
  class NormalizedParts;
  class RawParts;

  bool known(int32_t id) const {
    return id >= 0 && id < vocab_size() && !spellings_[static_cast<std::size_t>(id)].empty();
  }
  int32_t id_of(const AddedToken& token) const;
  Status add_tokens(std::vector<AddedToken> tokens);
  Status judge_post_processor() const;
  Status collect_bytes();

  Normalizer normalizer_;
  PreTokenizer pretokenizer_;
  BpeModel bpe_;
  Decoder decoder_;
  PostProcessor post_processor_;
  AddedTokenMatcher raw_tokens_, normalized_tokens_;
  std::unordered_map<std::string, int32_t> added_ids_;
  std::vector<std::string> spellings_;  // [vocab_size]; empty: no such token
  std::vector<bool> special_;           // [vocab_size]
  std::string bytes_;                   // of all tokens, one after the other
  std::vector<uint32_t> bytes_begin_;   // [vocab_size + 1] into bytes_
};

Result<std::shared_ptr<const Tokenizer>> BpeTokenizer::load(const Value& json,
                                                            const TokenizerOptions& options) {
  if (!json.is_object()) return wrong_type("the document", "an object", &json);
  auto tokenizer = std::make_shared<BpeTokenizer>();
  PAGODA_TRY(tokenizer->normalizer_, Normalizer::from_json(optional_member(json, "normalizer")));
  PAGODA_TRY(tokenizer->pretokenizer_, PreTokenizer::from_json(optional_member(json, "pre_tokenizer")));
  BpeModel::Options bpe_options;
  bpe_options.byte_level = tokenizer->pretokenizer_.byte_level();
  bpe_options.spaces_replaced =
      tokenizer->normalizer_.replaces_space() || tokenizer->pretokenizer_.replaces_space();
  bpe_options.piece_cache = options.piece_cache;
  const Value* model = optional_member(json, "model");
  if (model == nullptr) return wrong_type("model", "an object", model);
  PAGODA_TRY(tokenizer->bpe_, BpeModel::load(*model, bpe_options));
  PAGODA_TRY(tokenizer->decoder_,
             Decoder::from_json(optional_member(json, "decoder"), bpe_options.byte_level));
  PAGODA_TRY(tokenizer->post_processor_, PostProcessor::from_json(optional_member(json, "post_processor")));
  PAGODA_TRY(std::vector<AddedToken> added, read_added_tokens(optional_member(json, "added_tokens")));
  added.insert(added.end(), options.added_tokens.begin(), options.added_tokens.end());
  PAGODA_RETURN_IF_ERROR(tokenizer->add_tokens(std::move(added)));
  PAGODA_RETURN_IF_ERROR(tokenizer->judge_post_processor());
  PAGODA_RETURN_IF_ERROR(tokenizer->collect_bytes());
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

// As `tokenizers` counts: a token that the vocabulary spells has its id there, every other the next one
// behind all others. What the file says counts only where it fills a hole in the vocabulary.
int32_t BpeTokenizer::id_of(const AddedToken& token) const {
  const int32_t in_vocabulary = bpe_.token_to_id(token.content);
  if (in_vocabulary >= 0) return in_vocabulary;
  const bool fills_a_hole =
      token.id >= 0 && token.id < vocab_size() && spellings_[static_cast<std::size_t>(token.id)].empty();
  return fills_a_hole ? token.id : vocab_size();
}

Status BpeTokenizer::add_tokens(std::vector<AddedToken> tokens) {
  spellings_ = bpe_.take_spellings();
  special_.resize(spellings_.size());
  for (AddedToken& token : merge_added_tokens(std::move(tokens))) {
    token.id = id_of(token);
    if (token.id > kTokenIdMax)
      return invalid_argument("tokenizer.json: with its added tokens it has more than " +
                              std::to_string(kTokenIdMax + 1) + " ids");
    auto index = static_cast<std::size_t>(token.id);
    if (index == spellings_.size()) {
      spellings_.emplace_back();
      special_.push_back(false);
    }
    spellings_[index] = token.content;
    special_[index] = token.special;
    added_ids_[token.content] = token.id;
    if (token.normalized)
      normalized_tokens_.add(token, normalizer_.normalize(token.content));
    else
      raw_tokens_.add(token, token.content);
  }
  return Status();
}

Status BpeTokenizer::collect_bytes() {
  bytes_begin_.reserve(spellings_.size() + 1);
  for (const std::string& spelling : spellings_) {
    bytes_begin_.push_back(static_cast<uint32_t>(bytes_.size()));
    bytes_ += decoder_.token_bytes(spelling);
    if (bytes_.size() > kFileBytesMax)
      return invalid_argument("tokenizer.json: the decoder makes more than 1 GiB of the vocabulary");
  }
  bytes_begin_.push_back(static_cast<uint32_t>(bytes_.size()));
  return Status();
}

// The last stage: pieces to ids.
class BpeTokenizer::Encoding final : public PieceSink {
 public:
  Encoding(const BpeModel& bpe, std::vector<int32_t>* ids) : bpe_(bpe), ids_(ids) {}
  void piece(std::string_view text) override {
    if (is_work_cancelled()) throw EncodingCancelled();
    bpe_.encode(text, ids_);
  }
  void add(int32_t id) { ids_->push_back(id); }

 private:
  const BpeModel& bpe_;
  std::vector<int32_t>* ids_;
};

class BpeTokenizer::NormalizedParts final : public AddedTokenSink {
 public:
  NormalizedParts(const BpeTokenizer& tokenizer, Encoding* encoding)
      : tokenizer_(tokenizer), encoding_(encoding) {}
  void plain(std::string_view text, bool at_start) override {
    tokenizer_.pretokenizer_.run(text, at_start, encoding_);
  }
  void token(int32_t id) override { encoding_->add(id); }

 private:
  const BpeTokenizer& tokenizer_;
  Encoding* encoding_;
};

class BpeTokenizer::RawParts final : public AddedTokenSink {
 public:
  RawParts(const BpeTokenizer& tokenizer, bool skip_special, Encoding* encoding)
      : tokenizer_(tokenizer),
        skip_special_(skip_special),
        encoding_(encoding),
        normalized_(tokenizer, encoding) {}
  void plain(std::string_view text, bool at_start) override {
    if (tokenizer_.normalizer_.empty())
      return tokenizer_.normalized_tokens_.split(text, at_start, skip_special_, &normalized_);
    std::string normalized = tokenizer_.normalizer_.normalize(text);
    tokenizer_.normalized_tokens_.split(normalized, at_start, skip_special_, &normalized_);
  }
  void token(int32_t id) override { encoding_->add(id); }

 private:
  const BpeTokenizer& tokenizer_;
  bool skip_special_;
  Encoding* encoding_;
  NormalizedParts normalized_;
};

void BpeTokenizer::encode(std::string_view text, const EncodeOptions& options,
                          std::vector<int32_t>* ids) const {
  std::string mended;
  if (!is_valid_utf8(text)) {
    mended = sanitize_utf8(text);
    text = mended;
  }
  const PostProcessor& around = post_processor_;
  if (options.add_special_tokens) ids->insert(ids->end(), around.prefix.begin(), around.prefix.end());
  Encoding encoding(bpe_, ids);
  RawParts parts(*this, !options.parse_special, &encoding);
  try {
    raw_tokens_.split(text, true, !options.parse_special, &parts);
  } catch (const EncodingCancelled&) {
    return ids->clear();
  }
  if (options.add_special_tokens) ids->insert(ids->end(), around.suffix.begin(), around.suffix.end());
}

Status BpeTokenizer::judge_post_processor() const {
  for (const std::vector<int32_t>* ids : {&post_processor_.prefix, &post_processor_.suffix})
    for (int32_t id : *ids)
      if (!known(id))
        return invalid_argument("tokenizer.json: post_processor adds the id " + std::to_string(id) +
                                ", which no token has");
  return {};
}

std::string BpeTokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  std::string bytes;
  int strip_left = -1;
  for (int32_t id : ids) {
    if (skip_special_tokens && is_special(id)) continue;
    if (strip_left != 0)
      bytes += first_token_bytes(id, &strip_left);
    else
      bytes += token_bytes(id);
  }
  return is_valid_utf8(bytes) ? bytes : sanitize_utf8(bytes);
}

std::optional<int32_t> BpeTokenizer::token_to_id(std::string_view token) const {
  if (auto added = added_ids_.find(std::string(token)); added != added_ids_.end()) return added->second;
  int32_t id = bpe_.token_to_id(token);
  if (id < 0) return std::nullopt;
  return id;
}

std::string_view BpeTokenizer::token_bytes(int32_t id) const {
  if (!known(id)) return {};
  auto index = static_cast<std::size_t>(id);
  return std::string_view(bytes_).substr(bytes_begin_[index], bytes_begin_[index + 1] - bytes_begin_[index]);
}

std::string BpeTokenizer::first_token_bytes(int32_t id, int* strip_left) const {
  if (!known(id)) return {};
  const StartRule& rule = decoder_.start_rule();
  bool first = *strip_left < 0;
  if (first) *strip_left = rule.strip_max;
  std::string bytes =
      first && rule.drop_marks ? decoder_.first_token_bytes(id_to_token(id)) : std::string(token_bytes(id));
  std::size_t stripped = 0;
  while (*strip_left > 0 && stripped < bytes.size()) {
    if (bytes.compare(stripped, rule.strip.size(), rule.strip) != 0) {
      *strip_left = 0;
    } else {
      stripped += rule.strip.size();
      --*strip_left;
    }
  }
  bytes.erase(0, stripped);
  return bytes;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_json(std::string_view tokenizer_json,
                                                              const TokenizerOptions& options) {
  if (tokenizer_json.size() > kFileBytesMax) return invalid_argument("tokenizer.json: larger than 1 GiB");
  Result<Value> json = parse_json(tokenizer_json, {.values_max = kValuesMax});
  if (!json.ok()) return json.status().with_context("tokenizer.json");
  return BpeTokenizer::load(*json, options);
}

}  // namespace pagoda
