// Hash tables of the tokenizer: byte string -> id, and pair of ids -> merge. Filled once, then read from any
// thread. Open addressing with linear probing, at most half full, under a secret of the process: no file can
// make all its keys fall into one place.
#pragma once
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace pagoda {

inline uint64_t mix_bits(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline const uint64_t kHashSecret = [] {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}();

inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kMul = 0x9E3779B97F4A7C15ull, kOther = 0xD6E8FEB86659FD93ull;
  uint64_t hash = bytes.size() * kMul ^ kHashSecret;
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    hash = mix_bits(hash ^ word ^ kOther, kMul);
  }
  uint64_t word = 0;
  if (left > 0) std::memcpy(&word, p, left);
  return mix_bits(hash ^ word ^ kOther, kMul);
}

class TokenMap {
 public:
  // Room for `count` keys of `bytes` bytes in all. Requires: insert() is called at most `count` times.
  void reserve(std::size_t count, std::size_t bytes) {
    std::size_t size = 16;
    while (size < 2 * count) size *= 2;
    slots_.assign(size, Slot{0, 0, 0, -1});
    text_.reserve(bytes);
  }
  // A key that is there already gets the new id. Requires: all keys together have less than 4 GiB; id >= 0.
  void insert(std::string_view key, int32_t id) {
    uint64_t hash = hash_bytes(key);
    Slot* slot = &slots_[find_slot(key, hash)];
    if (slot->id < 0) {
      *slot = {static_cast<uint32_t>(hash >> 32), static_cast<uint32_t>(text_.size()),
               static_cast<uint32_t>(key.size()), id};
      text_ += key;
    }
    slot->id = id;
  }
  // -1 if there is no such key.
  int32_t find(std::string_view key) const {
    return slots_.empty() ? -1 : slots_[find_slot(key, hash_bytes(key))].id;
  }

 private:
  struct Slot {
    uint32_t hash, offset, length;
    int32_t id;  // -1: free
  };
  std::size_t find_slot(std::string_view key, uint64_t hash) const {
    std::size_t mask = slots_.size() - 1;
    auto tag = static_cast<uint32_t>(hash >> 32);
    for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
      const Slot& slot = slots_[i];
      if (slot.id < 0) return i;
      if (slot.hash == tag && slot.length == key.size() &&
          std::string_view(text_.data() + slot.offset, slot.length) == key)
        return i;
    }
  }

  std::vector<Slot> slots_;
  std::string text_;
};

// Merges packed as rank << 32 | id of the result, so that the smaller number is the earlier merge.
inline constexpr uint64_t kNoMerge = ~uint64_t{0};

class MergeMap {
 public:
  // Requires: insert() is called at most `count` times.
  void reserve(std::size_t count) {
    std::size_t size = 16;
    while (size < 2 * count) size *= 2;
    slots_.assign(size, Slot{kFree, kNoMerge});
  }
  // Of two merges of one pair the later holds.
  void insert(int32_t left, int32_t right, uint32_t rank, int32_t merged) {
    uint64_t key = pair_key(left, right);
    Slot& slot = slots_[find_slot(key)];
    slot = {key, uint64_t{rank} << 32 | static_cast<uint32_t>(merged)};
  }
  uint64_t find(int32_t left, int32_t right) const { return slots_[find_slot(pair_key(left, right))].merge; }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};  // ids are not negative, so no pair has this key
  struct Slot {
    uint64_t key, merge;
  };
  static uint64_t pair_key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  std::size_t find_slot(uint64_t key) const {
    std::size_t mask = slots_.size() - 1;
    std::size_t i = mix_bits(key ^ kHashSecret, 0x9E3779B97F4A7C15ull) & mask;
    while (slots_[i].key != key && slots_[i].key != kFree) i = (i + 1) & mask;
    return i;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16, Slot{kFree, kNoMerge});
};

}  // namespace pagoda
