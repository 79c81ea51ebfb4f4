// Remembers the ids of short pieces: one table per thread, so that threads never wait for one another, of
// fixed size (2 MiB), so that no input makes it grow. A new entry takes the place of the one that hashed
// alike.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "tokenizer/token_map.h"

namespace pagoda {

class PieceCache {
 public:
  static constexpr std::size_t kKeyBytes = 24, kIds = 8;

  // One cache line. `key` is filled up with zeros, and is compared with its length.
  struct alignas(64) Entry {
    std::array<uint64_t, kKeyBytes / 8> key;
    uint32_t owner;  // serial number of the tokenizer, 0: free
    uint16_t key_size, num_ids;
    std::array<int32_t, kIds> ids;
  };

  // This thread's table.
  static PieceCache& of_thread() {
    thread_local PieceCache cache;
    return cache;
  }

  struct Key {
    std::array<uint64_t, kKeyBytes / 8> words{};
    uint64_t hash;
    uint32_t owner;
    uint16_t size;
  };
  // Requires: 0 < piece.size() <= kKeyBytes; owner > 0.
  static Key make_key(std::string_view piece, uint32_t owner) {
    Key key;
    std::memcpy(key.words.data(), piece.data(), piece.size());
    key.owner = owner;
    key.size = static_cast<uint16_t>(piece.size());
    constexpr uint64_t kMul = 0x9E3779B97F4A7C15ull, kOther = 0xD6E8FEB86659FD93ull;
    uint64_t hash = mix_bits(key.words[0] ^ owner, kMul);
    if (piece.size() > 8)
      hash = mix_bits(hash ^ key.words[1], kOther) ^ mix_bits(key.words[2] ^ kOther, kMul);
    key.hash = hash;
    return key;
  }

  // The entry of this key, or nullptr.
  const Entry* find(const Key& key) const {
    const Entry* pair = &entries_[key.hash % kPairs * 2];
    for (const Entry* entry : {pair, pair + 1})
      if (entry->owner == key.owner && entry->key_size == key.size && entry->key == key.words) return entry;
    return nullptr;
  }
  // Takes the first place of two, whose entry takes the second. Requires: count <= kIds.
  void put(const Key& key, const int32_t* ids, std::size_t count) {
    Entry* entry = &entries_[key.hash % kPairs * 2];
    entry[1] = entry[0];
    entry->key = key.words;
    entry->owner = key.owner;
    entry->key_size = key.size;
    entry->num_ids = static_cast<uint16_t>(count);
    std::copy_n(ids, count, entry->ids.begin());
  }

 private:
  static constexpr std::size_t kPairs = 1 << 14;
  PieceCache() : entries_(std::make_unique<Entry[]>(2 * kPairs)) {}
  std::unique_ptr<Entry[]> entries_;
};

}  // namespace pagoda
