#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>

namespace pagoda {

// Of how keys are made (docs/guide/kv-events.md): keys of different versions never name the same content.
inline constexpr int32_t kBlockKeyVersion = 1;

// Names the content of a full block of the KV cache: a hash of everything that its K and V depend on (all
// tokens up to its end, what lies at them beside tokens, adapter, tenant's salt). 32 bytes, so that names of
// two contents do not meet.
struct BlockKey {
  std::array<uint8_t, 32> bytes{};
  bool operator==(const BlockKey&) const = default;
  // Some of its bits: they are as good as random.
  uint64_t word() const {
    uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    return word;
  }
};

// What a sequence has at positions begin .. end - 1 beside its tokens, which are placeholders there: an
// image.
struct ExtraKey {
  int32_t begin, end;
  std::array<uint8_t, 32>
      hash;  // of the content, which decides how long it is too; one that clients cannot choose
};

}  // namespace pagoda

template <>
struct std::hash<pagoda::BlockKey> {
  std::size_t operator()(const pagoda::BlockKey& key) const { return key.word(); }
};
