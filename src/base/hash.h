// Hashes of bytes. The only includer of <xxhash.h>; SHA-256 is OpenSSL's.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/thread_pool.h"

namespace pagoda {

struct Hash128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Hash128&) const = default;
  std::string hex() const;  // 32 digits
};

// XXH3, 128 bits: to recognise bytes and find damage. Not for what an attacker must not forge.
Hash128 hash128(std::span<const std::byte> bytes);
Hash128 hash128(std::string_view text);
// The hash of the hashes of every 4 MB, which the pool's threads share: as fast as memory. Another number
// than hash128's; the same for every number of threads.
Hash128 parallel_hash128(std::span<const std::byte> bytes, ComputePool& pool);

// The hash of a table whose keys come from outside: XXH3 under a secret that the process draws at its start,
// so that no client can send keys which all fall into one bucket. Never the same in two processes.
struct KeyHash {
  std::size_t operator()(std::string_view key) const;
};

// FIPS 180-4: cannot be forged.
std::array<uint8_t, 32> sha256(std::span<const uint8_t> bytes);

}  // namespace pagoda
