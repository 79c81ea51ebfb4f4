// XXH3, 128 bits: to recognise bytes and find damage. Not for what an attacker must not forge. The only
// includer of <xxhash.h>.
#pragma once
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

Hash128 hash128(std::span<const std::byte> bytes);
Hash128 hash128(std::string_view text);
// The hash of the hashes of every 4 MB, which the pool's threads share: as fast as memory. Another number
// than hash128's; the same for every number of threads.
Hash128 parallel_hash128(std::span<const std::byte> bytes, ComputePool& pool);

}  // namespace pagoda
