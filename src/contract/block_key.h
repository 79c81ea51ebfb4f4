#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>

namespace pagoda {

// Names the content of a full block of the KV cache: a hash of everything that its K and V depend on (all
// tokens up to its end, adapter, tenant's salt). 32 bytes, so that names of two contents do not meet.
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

}  // namespace pagoda

template <>
struct std::hash<pagoda::BlockKey> {
  std::size_t operator()(const pagoda::BlockKey& key) const { return key.word(); }
};
