#include "kv/block_hash.h"

#include <algorithm>
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
constexpr uint8_t kUnsigned = 0, kNegative = 1, kBytes = 2, kText = 3, kArray = 4, kNullByte = 0xf6;

void put_integer(std::vector<uint8_t>* out, int64_t value) {
  if (value >= 0) return put_head(out, kUnsigned, static_cast<uint64_t>(value));
  put_head(out, kNegative, static_cast<uint64_t>(-1 - value));
}

void append(std::vector<uint8_t>* out, std::span<const uint8_t> bytes) {
  out->insert(out->end(), bytes.begin(), bytes.end());
}
template <class T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

std::span<const ExtraKey> extra_keys_in(const CacheScope& scope, int32_t begin, std::size_t num_tokens) {
  const auto end = begin + static_cast<int32_t>(num_tokens);
  const auto first = std::ranges::partition_point(
      scope.extra_keys, [begin](const ExtraKey& extra) { return extra.end <= begin; });
  const auto last = std::partition_point(first, scope.extra_keys.end(),
                                         [end](const ExtraKey& extra) { return extra.begin < end; });
  return {first, last};
}

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

BlockKey BlockHasher::next(const BlockKey& parent, std::span<const TokenId> tokens, int32_t begin,
                           const CacheScope& scope) {
  bytes_.clear();
  if (algo_ == BlockHashAlgo::kSha256Cbor)
    write_cbor(parent, tokens, begin, scope);
  else
    write_plain(parent, tokens, begin, scope);
  if (!is_xxhash(algo_)) return {sha256(bytes_)};
  BlockKey key;
  const Hash128 hash = hash128(std::as_bytes(std::span(bytes_)));
  std::memcpy(key.bytes.data(), &hash.low, sizeof hash.low);
  std::memcpy(key.bytes.data() + sizeof hash.low, &hash.high, sizeof hash.high);
  return key;
}

// Parent, tokens as they lie in memory, in the first block adapter and salt: all of fixed length. Then, if
// there are any, the extra keys behind a mark that no token is. So no two blocks write the same bytes.
void BlockHasher::write_plain(const BlockKey& parent, std::span<const TokenId> tokens, int32_t begin,
                              const CacheScope& scope) {
  append(&bytes_, parent.bytes);
  append(&bytes_, {reinterpret_cast<const uint8_t*>(tokens.data()), tokens.size_bytes()});
  if (begin == 0) {
    append(&bytes_, bytes_of(scope.lora_id));
    append(&bytes_, scope.salt);
  }
  const std::span<const ExtraKey> extra_keys = extra_keys_in(scope, begin, tokens.size());
  if (extra_keys.empty()) return;
  constexpr TokenId kMark = -1;
  append(&bytes_, bytes_of(kMark));
  for (const ExtraKey& extra : extra_keys) {
    const int32_t offset = extra.begin - begin;
    append(&bytes_, bytes_of(offset));
    append(&bytes_, extra.hash);
  }
}

// [parent, [tokens], extra keys or null]. Extra keys: in the first block adapter and salt, where there are
// any; then ["mm", hash, offset] of each that lies in the block.
void BlockHasher::write_cbor(const BlockKey& parent, std::span<const TokenId> tokens, int32_t begin,
                             const CacheScope& scope) {
  put_head(&bytes_, kArray, 3);
  put_head(&bytes_, kBytes, parent.bytes.size());
  append(&bytes_, parent.bytes);
  put_head(&bytes_, kArray, tokens.size());
  for (TokenId token : tokens) put_integer(&bytes_, token);
  const std::span<const ExtraKey> extra_keys = extra_keys_in(scope, begin, tokens.size());
  const bool is_scoped = begin == 0 && (scope.lora_id != 0 || scope.salt != std::array<uint8_t, 16>{});
  if (!is_scoped && extra_keys.empty()) return bytes_.push_back(kNullByte);
  put_head(&bytes_, kArray, extra_keys.size() + (is_scoped ? 2 : 0));
  if (is_scoped) {
    put_integer(&bytes_, scope.lora_id);
    put_head(&bytes_, kBytes, scope.salt.size());
    append(&bytes_, scope.salt);
  }
  for (const ExtraKey& extra : extra_keys) {
    put_head(&bytes_, kArray, 3);
    put_head(&bytes_, kText, 2);
    bytes_.insert(bytes_.end(), {'m', 'm'});
    put_head(&bytes_, kBytes, extra.hash.size());
    append(&bytes_, extra.hash);
    put_integer(&bytes_, extra.begin - begin);
  }
}

}  // namespace pagoda
