#include "tokenizer/bpe.h"

#include <algorithm>

#include "base/utf8.h"
#include "tokenizer/piece_cache.h"

namespace pagoda {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // "▁"
constexpr std::size_t kFlatSymbolsMax = 48;
// Positions in the heap have 32 bits; a longer piece is encoded in parts.
constexpr std::size_t kPieceBytesMax = std::size_t{1} << 30;

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

void BpeModel::encode(std::string_view piece, std::vector<int32_t>* ids) const {
  if (!cuts_) return encode_cached(piece, ids);
  for (std::size_t begin = 0; begin < piece.size();) {
    std::size_t end = next_cut(piece, begin);
    encode_cached(piece.substr(begin, end - begin), ids);
    begin = end;
  }
}

// The end of the part that begins at `from`.
std::size_t BpeModel::next_cut(std::string_view piece, std::size_t from) const {
  for (std::size_t at = from + 1; (at = piece.find(kMark, at)) != std::string_view::npos;
       at += kMark.size()) {
    std::size_t before = at - 1;
    while (before > from && is_continuation(piece[before])) --before;
    uint32_t code_point = decode_utf8(piece, before).code_point;
    if (!std::binary_search(no_cut_behind_.begin(), no_cut_behind_.end(), code_point)) return at;
  }
  return piece.size();
}

void BpeModel::encode_cached(std::string_view piece, std::vector<int32_t>* ids) const {
  if (!options_.piece_cache || piece.size() > PieceCache::kKeyBytes || piece.empty())
    return encode_whole(piece, ids);
  PieceCache& cache = PieceCache::of_thread();
  PieceCache::Key key = PieceCache::make_key(piece, serial_);
  if (const PieceCache::Entry* entry = cache.find(key)) {
    for (uint32_t i = 0; i < entry->num_ids; ++i) ids->push_back(entry->ids[i]);
    return;
  }
  std::size_t begin = ids->size();
  encode_whole(piece, ids);
  std::size_t count = ids->size() - begin;
  if (count <= PieceCache::kIds) cache.put(key, ids->data() + begin, count);
}

void BpeModel::encode_whole(std::string_view piece, std::vector<int32_t>* ids) const {
  while (piece.size() > kPieceBytesMax) {
    std::size_t end = kPieceBytesMax;
    while (is_continuation(piece[end])) --end;
    encode_whole(piece.substr(0, end), ids);
    piece.remove_prefix(end);
  }
  if (ignore_merges_) {
    int32_t id = options_.byte_level ? byte_piece_ids_.find(piece) : spelled_ids_.find(piece);
    if (id >= 0) return ids->push_back(id);
  }
  std::size_t from = ids->size();
  append_symbols(piece, ids);
  if (ids->size() - from <= kFlatSymbolsMax)
    merge_symbols_flat(merges_, ids, from);
  else
    merge_symbols_heap(merges_, ids, from);
}

void BpeModel::append_symbols(std::string_view piece, std::vector<int32_t>* symbols) const {
  bool pending = false;  // an unknown unit has been read, its id is not yet written
  for (std::size_t i = 0; i < piece.size();) {
    auto byte = static_cast<unsigned char>(piece[i]);
    std::size_t length = 1;
    int32_t id;
    if (options_.byte_level) {
      id = byte_ids_[byte];
    } else if (byte < 0x80) {
      id = ascii_ids_[byte];
    } else {
      while (i + length < piece.size() && is_continuation(piece[i + length])) ++length;
      id = spelled_ids_.find(piece.substr(i, length));
    }
    if (id >= 0) {
      if (pending) symbols->push_back(unknown_id_);
      pending = false;
      symbols->push_back(id);
    } else {
      append_unknown(piece.substr(i, length), &pending, symbols);
    }
    i += length;
  }
  if (pending) symbols->push_back(unknown_id_);
}

// As `tokenizers` does it: byte tokens if all of them exist, otherwise one unknown token, or one for a run of
// unknown units if they are fused; nothing if there is no unknown token.
void BpeModel::append_unknown(std::string_view unit, bool* pending, std::vector<int32_t>* symbols) const {
  auto byte_id = [&](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  if (byte_fallback_ && !options_.byte_level &&
      std::all_of(unit.begin(), unit.end(), [&](char byte) { return byte_id(byte) >= 0; })) {
    for (char byte : unit) symbols->push_back(byte_id(byte));
    return;
  }
  if (unknown_id_ < 0) return;
  if (*pending && !fuse_unknown_) symbols->push_back(unknown_id_);
  *pending = true;
}

}  // namespace pagoda
