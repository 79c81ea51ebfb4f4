#pragma once
#include <cstdint>
#include <string_view>

namespace pagoda {

// What a keyed hash stands for: hashes of one text for two purposes have nothing to do with each other.
enum class HashPurpose : uint8_t { kCacheSaltLow, kCacheSaltHigh, kTenant };

// SipHash-2-4 under keys that the process draws at its start: its values can neither be predicted nor made to
// collide from outside, and are the same within one process only.
uint64_t keyed_hash(HashPurpose purpose, std::string_view text);

}  // namespace pagoda
