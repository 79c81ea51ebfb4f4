#include "base/hash.h"

#include <fmt/format.h>
#include <openssl/sha.h>
#include <xxhash.h>

#include <algorithm>
#include <random>
#include <vector>

namespace pagoda {

std::string Hash128::hex() const {
  return fmt::format("{:016x}{:016x}", high, low);
}

Hash128 hash128(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

Hash128 hash128(std::string_view text) {
  return hash128(std::as_bytes(std::span(text)));
}

Hash128 parallel_hash128(std::span<const std::byte> bytes, ComputePool& pool) {
  constexpr std::size_t kPiece = std::size_t{4} << 20;
  std::vector<Hash128> hashes((bytes.size() + kPiece - 1) / kPiece);
  pool.parallel_for(static_cast<int64_t>(hashes.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      hashes[i] = hash128(bytes.subspan(i * kPiece, std::min(kPiece, bytes.size() - i * kPiece)));
  });
  return hash128(std::as_bytes(std::span(hashes)));
}

std::size_t KeyHash::operator()(std::string_view key) const {
  static const auto kSecret = [] {
    static_assert(sizeof(std::random_device::result_type) == 4);
    std::array<std::random_device::result_type, 48> secret;  // 192 bytes; XXH3 asks for 136
    std::random_device device;
    for (auto& word : secret) word = device();
    return secret;
  }();
  return XXH3_64bits_withSecret(key.data(), key.size(), kSecret.data(), sizeof kSecret);
}

std::array<uint8_t, 32> sha256(std::span<const uint8_t> bytes) {
  std::array<uint8_t, 32> digest;
  SHA256(bytes.data(), bytes.size(), digest.data());
  return digest;
}

}  // namespace pagoda
