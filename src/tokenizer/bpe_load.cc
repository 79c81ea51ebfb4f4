// Reading of the `model` member.
#include <algorithm>
#include <atomic>

#include "base/excerpt.h"
#include "base/utf8.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/token_table.h"

namespace pagoda {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";      // "▁"
constexpr std::string_view kNoBreakSpace = "\xC2\xA0";  // U+00A0

// "<0x0A>", the token of a byte where byte_fallback is on.
std::string byte_token(unsigned byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  return std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">";
}

std::string merge_path(std::size_t index) {
  return "model.merges[" + std::to_string(index) + "]";
}

std::string quoted(std::string_view token) {
  return "\"" + excerpt(token, 60) + "\"";
}

}  // namespace

Result<BpeModel> BpeModel::load(const Value& model, const Options& options) {
  static std::atomic<uint32_t> next_serial{1};
  if (!model.is_object()) return wrong_type("model", "an object", &model);
  // Files made before the member existed leave `type` out.
  PAGODA_TRY(std::string type, string_field_or(model, "model", "type", "BPE"));
  if (type != "BPE")
    return invalid_argument("tokenizer.json: model.type " + excerpt(type, 60) + " is not built; BPE is");
  BpeModel bpe;
  bpe.options_ = options;
  bpe.serial_ = next_serial.fetch_add(1);
  PAGODA_RETURN_IF_ERROR(bpe.load_options(model));
  PAGODA_RETURN_IF_ERROR(bpe.load_vocabulary(model));
  PAGODA_RETURN_IF_ERROR(bpe.load_merges(model));
  if (options.spaces_replaced) bpe.restore_no_break_spaces();
  bpe.index_units();
  bpe.find_safe_cuts();
  return bpe;
}

Status BpeModel::load_options(const Value& model) {
  PAGODA_TRY(ignore_merges_, bool_field_or(model, "model", "ignore_merges", false));
  PAGODA_TRY(byte_fallback_, bool_field_or(model, "model", "byte_fallback", false));
  PAGODA_TRY(fuse_unknown_, bool_field_or(model, "model", "fuse_unk", false));
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    PAGODA_TRY(std::string affix, string_field_or(model, "model", key, ""));
    if (!affix.empty())
      return invalid_argument(std::string("tokenizer.json: model.") + key + " is not built");
  }
  const Value* dropout = optional_member(model, "dropout");
  if (dropout != nullptr && !dropout->is_number())
    return wrong_type("model.dropout", "a number or null", dropout);
  if (dropout != nullptr && dropout->as_double() != 0)
    return invalid_argument("tokenizer.json: model.dropout makes encoding random; set it to null");
  return Status();
}

Status BpeModel::load_vocabulary(const Value& model) {
  const Value* vocabulary = optional_member(model, "vocab");
  if (vocabulary == nullptr || !vocabulary->is_object())
    return wrong_type("model.vocab", "an object", vocabulary);
  int64_t id_max = -1;
  std::size_t bytes = 0;
  for (const Member& token : vocabulary->as_object()) {
    if (!token.value.is_int())
      return wrong_type("model.vocab[" + quoted(token.key) + "]", "an integer", &token.value);
    int64_t id = token.value.as_int();
    if (id < 0 || id > kTokenIdMax)
      return invalid_argument("tokenizer.json: model.vocab[" + quoted(token.key) + "] is " +
                              std::to_string(id) + ", outside of 0.." + std::to_string(kTokenIdMax));
    id_max = std::max(id_max, id);
    bytes += token.key.size();
  }
  id_end_ = static_cast<int32_t>(id_max + 1);
  spelled_ids_.reserve(vocabulary->as_object().size(), bytes);
  std::vector<int32_t> ids;
  for (const Member& token : vocabulary->as_object()) {
    auto id = static_cast<int32_t>(token.value.as_int());
    if (!token.key.empty()) ids.push_back(id);
    spelled_ids_.insert(token.key, id);
  }
  const IdPlaces places(id_end_, ids);
  spellings_.resize(static_cast<std::size_t>(places.size()));
  for (const Member& token : vocabulary->as_object()) {  // of several that have one id the last is shown
    auto id = static_cast<int32_t>(token.value.as_int());
    if (!token.key.empty()) spellings_[static_cast<std::size_t>(places.place(id))] = {id, token.key};
  }
  PAGODA_TRY(std::string unknown, string_field_or(model, "model", "unk_token", ""));
  if (unknown.empty()) return Status();
  unknown_id_ = spelled_ids_.find(unknown);
  // Bytes have tokens of their own: it is never wanted.
  if (unknown_id_ >= 0 || options_.byte_level || byte_fallback_) return Status();
  return invalid_argument("tokenizer.json: model.unk_token is " + quoted(unknown) +
                          ", which is not in model.vocab");
}

Status BpeModel::load_merges(const Value& model) {
  PAGODA_TRY(const Array* merges, array_field(model, "model", "merges"));
  merges_.reserve(merges->size());
  cuts_ = true;
  for (std::size_t i = 0; i < merges->size(); ++i) PAGODA_RETURN_IF_ERROR(add_merge((*merges)[i], i));
  return Status();
}

Status BpeModel::add_merge(const Value& merge, std::size_t index) {
  std::string_view left_spelling, right_spelling;
  if (merge.is_string()) {
    PAGODA_RETURN_IF_ERROR(split_merge(merge.as_string(), index, &left_spelling, &right_spelling));
  } else {
    if (!merge.is_array() || merge.as_array().size() != 2 || !merge.as_array()[0].is_string() ||
        !merge.as_array()[1].is_string())
      return wrong_type(merge_path(index), "a string or a pair of strings", &merge);
    left_spelling = merge.as_array()[0].as_string();
    right_spelling = merge.as_array()[1].as_string();
  }
  const int32_t left = spelled_ids_.find(left_spelling), right = spelled_ids_.find(right_spelling);
  if (left < 0 || right < 0)
    return invalid_argument("tokenizer.json: " + merge_path(index) + " names " +
                            quoted(left < 0 ? left_spelling : right_spelling) +
                            ", which is not in model.vocab");
  std::string joined(left_spelling);
  joined += right_spelling;
  int32_t merged = spelled_ids_.find(joined);
  if (merged < 0)
    return invalid_argument("tokenizer.json: " + merge_path(index) + " makes " + quoted(joined) +
                            ", which is not in model.vocab");
  auto stands_for_unknown = [&](int32_t id, std::string_view spelling) {
    return id == unknown_id_ || (spelling.size() == 6 && spelling.starts_with("<0x"));
  };
  if (stands_for_unknown(left, left_spelling) || stands_for_unknown(right, right_spelling)) cuts_ = false;
  merges_.insert(left, right, static_cast<uint32_t>(index), merged);
  return Status();
}

// "left right". A token may itself hold spaces in files that lost their no-break spaces; then the space that
// parts two known tokens with a known sum is the one.
Status BpeModel::split_merge(std::string_view merge, std::size_t index, std::string_view* left,
                             std::string_view* right) const {
  std::size_t space = merge.find(' ');
  if (space == std::string_view::npos)
    return invalid_argument("tokenizer.json: " + merge_path(index) +
                            " must be two tokens with a space between, found " + quoted(merge));
  *left = merge.substr(0, space);
  *right = merge.substr(space + 1);
  if (right->find(' ') == std::string_view::npos) return Status();
  constexpr std::size_t kLeftBytesMax = 256;  // no token is that long; keeps a hostile line linear
  for (; space <= kLeftBytesMax; space = merge.find(' ', space + 1)) {
    *left = merge.substr(0, space);
    *right = merge.substr(space + 1);
    if (!left->empty() && !right->empty() && spelled_ids_.find(*left) >= 0 &&
        spelled_ids_.find(*right) >= 0 && spelled_ids_.find(std::string(*left) + std::string(*right)) >= 0)
      return Status();
  }
  return invalid_argument("tokenizer.json: " + merge_path(index) + " " + quoted(merge) +
                          " names a token that is not in model.vocab");
}

// Where every space becomes "▁" before BPE, a token with a plain space could never match. Copies of
// SentencePiece vocabularies are in circulation in which tools turned U+00A0 into U+0020: such a token is
// read as what it was, unless the vocabulary has that as well.
void BpeModel::restore_no_break_spaces() {
  bool changed = false;
  std::size_t bytes = 0;
  for (auto& [id, spelling] : spellings_) {
    bytes += spelling.size() + 8;
    if (spelling.find(' ') == std::string::npos || spelling.size() > 64) continue;
    std::string mended;
    for (char c : spelling) c == ' ' ? mended += kNoBreakSpace : mended += c;
    if (spelled_ids_.find(mended) >= 0) continue;
    bytes += mended.size();
    spelling = mended;
    changed = true;
  }
  if (!changed) return;
  spelled_ids_ = TokenMap();
  spelled_ids_.reserve(spellings_.size(), bytes);
  for (const auto& [id, spelling] : spellings_) spelled_ids_.insert(spelling, id);
}

void BpeModel::index_units() {
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string spelling;
    if (options_.byte_level)
      append_utf8(&spelling, byte_level_char(static_cast<unsigned char>(byte)));
    else
      spelling = byte_token(byte);
    byte_ids_[byte] = spelled_ids_.find(spelling);
  }
  for (unsigned c = 0; c < 128; ++c) {
    char character = static_cast<char>(c);
    ascii_ids_[c] = spelled_ids_.find(std::string_view(&character, 1));
  }
  if (!options_.byte_level || !ignore_merges_) return;
  std::size_t bytes = 0;
  for (const auto& [id, spelling] : spellings_) bytes += spelling.size();
  byte_piece_ids_.reserve(spellings_.size(), bytes);
  for (const auto& [id, spelling] : spellings_)
    if (auto piece = byte_level_decode(spelling)) byte_piece_ids_.insert(*piece, id);
}

// A merge joins two characters only if some token holds them side by side. Where "▁" follows a character that
// no token has before it, the text on both sides can be encoded apart, which makes the piece cache useful for
// vocabularies that do not split at all.
void BpeModel::find_safe_cuts() {
  cuts_ = cuts_ && !options_.byte_level && !ignore_merges_ && spelled_ids_.find(kMark) >= 0;
  if (!cuts_) return;
  for (const auto& [id, spelling] : spellings_) {
    for (std::size_t at = spelling.find(kMark, 1); at != std::string::npos;
         at = spelling.find(kMark, at + 1)) {
      std::size_t before = at - 1;
      while (before > 0 && (static_cast<unsigned char>(spelling[before]) & 0xC0) == 0x80) --before;
      no_cut_behind_.push_back(decode_utf8(spelling, before).code_point);
    }
  }
  no_cut_behind_.push_back(decode_utf8(kMark, 0).code_point);
  std::sort(no_cut_behind_.begin(), no_cut_behind_.end());
  no_cut_behind_.erase(std::unique(no_cut_behind_.begin(), no_cut_behind_.end()), no_cut_behind_.end());
}

}  // namespace pagoda
