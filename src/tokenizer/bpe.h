// The merge engine: one piece of text to ids. A piece starts as its bytes (byte-level) or characters, and the
// pair with the earliest merge, the leftmost of equals, is joined until none is left (Sennrich, Haddow,
// Birch, ACL 2016).
//
// Short pieces use a flat array; long ones a heap and a linked list, O(n log n), no recursion. Immutable
// after load() and safe to use from any thread.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "tokenizer/token_map.h"

namespace pagoda {

inline constexpr int64_t kTokenIdMax = (4 << 20) - 1;

class BpeModel {
 public:
  struct Options {
    bool byte_level = false;       // the vocabulary is written in the byte-level alphabet
    bool spaces_replaced = false;  // no piece holds a space
    bool piece_cache = true;
  };

  struct Spelling {
    int32_t id;
    std::string text;
  };

  // From the `model` member of tokenizer.json.
  static Result<BpeModel> load(const Value& model, const Options& options);

  // Appends the ids of one piece: bytes if byte-level, otherwise UTF-8.
  void encode(std::string_view piece, std::vector<int32_t>* ids) const;

  // -1 if there is no such token.
  int32_t token_to_id(std::string_view spelling) const { return spelled_ids_.find(spelling); }
  // The vocabulary by ascending id, nothing empty. Encoding does not need it.
  std::vector<Spelling> take_spellings() { return std::move(spellings_); }
  // 1 + the largest id, which may have an empty spelling.
  int32_t id_end() const { return id_end_; }

 private:
  Status load_options(const Value& model);
  Status load_vocabulary(const Value& model);
  Status load_merges(const Value& model);
  Status add_merge(const Value& merge, std::size_t index);
  Status split_merge(std::string_view merge, std::size_t index, std::string_view* left,
                     std::string_view* right) const;
  void restore_no_break_spaces();
  void index_units();
  void find_safe_cuts();

  void encode_cached(std::string_view piece, std::vector<int32_t>* ids) const;
  void encode_whole(std::string_view piece, std::vector<int32_t>* ids) const;
  void append_symbols(std::string_view piece, std::vector<int32_t>* symbols) const;
  void append_unknown(std::string_view unit, bool* pending, std::vector<int32_t>* symbols) const;
  std::size_t next_cut(std::string_view piece, std::size_t from) const;

  Options options_;
  bool ignore_merges_ = false, byte_fallback_ = false, fuse_unknown_ = false;
  int32_t unknown_id_ = -1;
  uint32_t serial_ = 0;  // owner of entries in the piece cache
  int32_t id_end_ = 0;
  std::vector<Spelling> spellings_;
  TokenMap spelled_ids_;     // by spelling
  TokenMap byte_piece_ids_;  // byte-level with ignore_merges: by the bytes that a token stands for
  std::array<int32_t, 256> byte_ids_{};  // byte-level: of single bytes; otherwise of <0x00>..<0xFF>. -1: none
  std::array<int32_t, 128> ascii_ids_{};  // of single ASCII characters, not byte-level. -1: none
  MergeMap merges_;
  // Not byte-level: a piece may be cut before "▁" except behind these characters, because no merge joins
  // across.
  bool cuts_ = false;
  std::vector<uint32_t> no_cut_behind_;  // sorted
};

// Thrown within the room where the work of encoding has been cancelled; Tokenizer::encode catches it.
struct EncodingCancelled {};

// Merges `symbols` until no pair of neighbours is in `merges`; in place. Exposed for tests, which hold the
// two methods against each other.
void merge_symbols_flat(const MergeMap& merges, std::vector<int32_t>* symbols, std::size_t from);
void merge_symbols_heap(const MergeMap& merges, std::vector<int32_t>* symbols, std::size_t from);

}  // namespace pagoda
