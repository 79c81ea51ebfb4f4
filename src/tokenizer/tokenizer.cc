#include "tokenizer/tokenizer.h"

#include <unordered_set>

#include "base/cancel.h"
#include "base/json.h"
#include "base/utf8.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/token_decoder.h"
#include "tokenizer/token_table.h"

namespace pagoda {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 30;
constexpr std::size_t kNormalizedBytesMax = std::size_t{64} << 20;
constexpr std::size_t kValuesMax = std::size_t{16} << 20;  // a million merges have three each

class BpeTokenizer final : public Tokenizer {
 public:
  static Result<std::shared_ptr<const Tokenizer>> load(const Value& json, const TokenizerOptions& options);

  void encode(std::string_view text, const EncodeOptions& options, std::vector<int32_t>* ids) const override;
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const override;
  int32_t vocab_size() const override { return vocab_size_; }
  std::optional<int32_t> token_to_id(std::string_view token) const override;
  std::string_view id_to_token(int32_t id) const override {
    const int32_t place = places_.place(id);
    return place >= 0 ? spellings_[place] : std::string_view();
  }
  std::string_view token_bytes(int32_t id) const override;
  bool is_special(int32_t id) const override {
    const int32_t place = places_.place(id);
    return place >= 0 && special_[static_cast<std::size_t>(place)];
  }
  bool strips_leading_space() const override {
    return decoder_.start_rule().drop_marks ||
           (decoder_.start_rule().strip_max > 0 && decoder_.start_rule().strip == " ");
  }
  std::string first_token_bytes(int32_t id, int* strip_left) const override;

 private:
  class Encoding;
  class NormalizedParts;
  class RawParts;

  bool known(int32_t id) const { return places_.place(id) >= 0; }
  Status add_tokens(std::vector<AddedToken> tokens);
  Status number_tokens(const std::vector<BpeModel::Spelling>& vocabulary, std::vector<AddedToken>* added);
  void list_tokens(const std::vector<BpeModel::Spelling>& vocabulary, const std::vector<AddedToken>& added);
  Status find_tokens(const std::vector<AddedToken>& added);
  Status check_post_processor() const;
  Status collect_bytes();

  Normalizer normalizer_;
  PreTokenizer pretokenizer_;
  BpeModel bpe_;
  TokenDecoder decoder_;
  PostProcessor post_processor_;
  AddedTokenMatcher raw_tokens_, normalized_tokens_;
  TokenMap added_ids_;
  int32_t vocab_size_ = 0;
  IdPlaces places_;  // of all tokens, none of them empty; the tables below are by place
  TextTable spellings_, bytes_;
  std::vector<bool> special_;
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
             TokenDecoder::from_json(optional_member(json, "decoder"), bpe_options.byte_level));
  PAGODA_TRY(tokenizer->post_processor_, PostProcessor::from_json(optional_member(json, "post_processor")));
  PAGODA_TRY(std::vector<AddedToken> added, read_added_tokens(optional_member(json, "added_tokens")));
  added.insert(added.end(), options.added_tokens.begin(), options.added_tokens.end());
  PAGODA_RETURN_IF_ERROR(tokenizer->add_tokens(std::move(added)));
  PAGODA_RETURN_IF_ERROR(tokenizer->check_post_processor());
  PAGODA_RETURN_IF_ERROR(tokenizer->collect_bytes());
  return std::shared_ptr<const Tokenizer>(std::move(tokenizer));
}

Status BpeTokenizer::add_tokens(std::vector<AddedToken> tokens) {
  const std::vector<BpeModel::Spelling> vocabulary = bpe_.take_spellings();
  std::vector<AddedToken> added = merge_added_tokens(std::move(tokens));
  PAGODA_RETURN_IF_ERROR(number_tokens(vocabulary, &added));
  list_tokens(vocabulary, added);
  return find_tokens(added);
}

// As `tokenizers` counts: a token that the vocabulary spells has its id there, every other the next one
// behind all others. What the file says counts only where it fills a hole in the vocabulary.
Status BpeTokenizer::number_tokens(const std::vector<BpeModel::Spelling>& vocabulary,
                                   std::vector<AddedToken>* added) {
  vocab_size_ = bpe_.id_end();
  std::vector<int32_t> ids;
  for (const auto& [id, text] : vocabulary) ids.push_back(id);
  const IdPlaces spelled(vocab_size_, ids);
  std::unordered_set<int32_t> filled;
  for (AddedToken& token : *added) {
    if (const int32_t id = bpe_.token_to_id(token.content); id >= 0) {
      token.id = id;
    } else if (token.id < 0 || token.id >= vocab_size_ || spelled.place(token.id) >= 0 ||
               !filled.insert(token.id).second) {
      token.id = vocab_size_++;
      filled.insert(token.id);
    }
    if (token.id > kTokenIdMax)
      return invalid_argument("tokenizer.json: with its added tokens it has more than " +
                              std::to_string(kTokenIdMax + 1) + " ids");
  }
  return {};
}

void BpeTokenizer::list_tokens(const std::vector<BpeModel::Spelling>& vocabulary,
                               const std::vector<AddedToken>& added) {
  std::vector<int32_t> ids;
  std::size_t bytes = 0, added_bytes = 0;
  for (const auto& [id, text] : vocabulary) {
    ids.push_back(id);
    bytes += text.size();
  }
  for (const AddedToken& token : added) {
    ids.push_back(token.id);
    added_bytes += token.content.size();
  }
  places_ = IdPlaces(vocab_size_, ids);
  const auto count = static_cast<std::size_t>(places_.size());
  std::vector<std::string_view> texts(count);
  special_.resize(count);
  added_ids_.reserve(added.size(), added_bytes);
  for (const auto& [id, text] : vocabulary) texts[static_cast<std::size_t>(places_.place(id))] = text;
  for (const AddedToken& token : added) {
    const auto place = static_cast<std::size_t>(places_.place(token.id));
    texts[place] = token.content;
    special_[place] = token.special;
    added_ids_.insert(token.content, token.id);
  }
  spellings_.reserve(count, bytes + added_bytes);
  for (std::string_view text : texts) spellings_.add(text);
}

Status BpeTokenizer::find_tokens(const std::vector<AddedToken>& added) {
  std::vector<AddedTokenMatcher::Pattern> raw, normalized;
  std::size_t bytes = 0;
  for (const AddedToken& token : added) {
    if (!token.normalized) {
      raw.emplace_back(token.content, &token);
      continue;
    }
    normalized.emplace_back(normalizer_.normalize(token.content), &token);
    bytes += normalized.back().first.size();
    if (bytes > kNormalizedBytesMax)
      return invalid_argument("tokenizer.json: the normalizer makes more than 64 MiB of the added tokens");
  }
  raw_tokens_ = AddedTokenMatcher(std::move(raw));
  normalized_tokens_ = AddedTokenMatcher(std::move(normalized));
  return {};
}

Status BpeTokenizer::collect_bytes() {
  bytes_.reserve(static_cast<std::size_t>(places_.size()), spellings_.num_bytes());
  for (int32_t place = 0; place < places_.size(); ++place) {
    bytes_.add(decoder_.token_bytes(spellings_[place]));
    if (bytes_.num_bytes() > kFileBytesMax)
      return invalid_argument("tokenizer.json: the decoder makes more than 1 GiB of the vocabulary");
  }
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

Status BpeTokenizer::check_post_processor() const {
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
  int32_t id = added_ids_.find(token);
  if (id < 0) id = bpe_.token_to_id(token);
  if (id < 0) return std::nullopt;
  return id;
}

std::string_view BpeTokenizer::token_bytes(int32_t id) const {
  const int32_t place = places_.place(id);
  return place >= 0 ? bytes_[place] : std::string_view();
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
