#include "kv/block_hash.h"

#include <random>

#include "base/hash.h"

namespace pagoda {
namespace {

// Canonical CBOR (RFC 8949, section 4.2): a head is a major type and its argument in the fewest bytes.
void put_head(std::vector<uint8_t>* out, uint8_t major, uint64_t argument) {
  const auto type = static_cast<uint8_t>(major << 5);
  if (argument < 24) return out->push_back(static_cast<uint8_t>(type | argument));
  int num_bytes = argument < 0x100 ? 1 : argument < 0x10000 ? 2 : argument < 0x100000000 ? 4 : 8;
  out->push_back(static_cast<uint8_t>(type | (num_bytes == 1   ? 24
                                              : num_bytes == 2 ? 25
                                              : num_bytes == 4 ? 26
                                                               : 27)));
  for (int shift = 8 * (num_bytes - 1); shift >= 0; shift -= 8)
    out->push_back(static_cast<uint8_t>(argument >> shift));
}
constexpr uint8_t kUnsigned = 0, kBytes = 2, kText = 3, kArray = 4, kNullByte = 0xf6;

void append(std::vector<uint8_t>* out, std::span<const uint8_t> bytes) {
  out->insert(out->end(), bytes.begin(), bytes.end());
}
template <class T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

// With a seed the root is what vLLM makes of PYTHONHASHSEED under sha256_cbor: the hash of the seed's text.
BlockHasher::BlockHasher(BlockHashAlgo algo, const std::string& seed) : algo_(algo) {
  if (seed.empty()) {
    std::random_device device;
    for (uint8_t& byte : root_.bytes) byte = static_cast<uint8_t>(device());
    return;
  }
  put_head(&bytes_, kText, seed.size());
  bytes_.insert(bytes_.end(), seed.begin(), seed.end());
  root_.bytes = sha256(bytes_);
}

BlockKey BlockHasher::next(const BlockKey& parent, std::span<const TokenId> tokens, const CacheScope& scope,
                           bool is_first) {
  bytes_.clear();
  if (algo_ == BlockHashAlgo::kSha256Cbor)
    write_cbor(parent, tokens, scope, is_first);
  else
    write_plain(parent, tokens, scope, is_first);
  if (algo_ != BlockHashAlgo::kXxhash) return {sha256(bytes_)};
  BlockKey key;
  const Hash128 hash = hash128(std::as_bytes(std::span(bytes_)));
  std::memcpy(key.bytes.data(), &hash.low, sizeof hash.low);
  std::memcpy(key.bytes.data() + sizeof hash.low, &hash.high, sizeof hash.high);
  return key;
}

// Parent, tokens as they lie in memory and, in the first block, the scope: all of fixed length, so that no
// two blocks write the same bytes.
void BlockHasher::write_plain(const BlockKey& parent, std::span<const TokenId> tokens,
                              const CacheScope& scope, bool is_first) {
  append(&bytes_, parent.bytes);
  append(&bytes_, {reinterpret_cast<const uint8_t*>(tokens.data()), tokens.size_bytes()});
  if (!is_first) return;
  append(&bytes_, bytes_of(scope.lora_id));
  append(&bytes_, scope.salt);
}

// [parent, [tokens], extra keys or null].
void BlockHasher::write_cbor(const BlockKey& parent, std::span<const TokenId> tokens, const CacheScope& scope,
                             bool is_first) {
  put_head(&bytes_, kArray, 3);
  put_head(&bytes_, kBytes, parent.bytes.size());
  append(&bytes_, parent.bytes);
  put_head(&bytes_, kArray, tokens.size());
  for (TokenId token : tokens) put_head(&bytes_, kUnsigned, static_cast<uint64_t>(token));
  if (!is_first || scope.is_plain()) return bytes_.push_back(kNullByte);
  put_head(&bytes_, kArray, 2);
  put_head(&bytes_, kUnsigned, scope.lora_id);
  put_head(&bytes_, kBytes, scope.salt.size());
  append(&bytes_, scope.salt);
}

}  // namespace pagoda
