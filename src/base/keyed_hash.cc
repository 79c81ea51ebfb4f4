#include "base/keyed_hash.h"

#include <array>
#include <bit>
#include <cstring>
#include <random>

namespace pagoda {
namespace {

// SipHash-2-4 (Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012).
struct SipState {
  uint64_t v0, v1, v2, v3;

  SipState(uint64_t k0, uint64_t k1)
      : v0(k0 ^ 0x736f6d6570736575ull),
        v1(k1 ^ 0x646f72616e646f6dull),
        v2(k0 ^ 0x6c7967656e657261ull),
        v3(k1 ^ 0x7465646279746573ull) {}
  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void block(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

uint64_t siphash(uint64_t k0, uint64_t k1, std::string_view text) {
  SipState state(k0, k1);
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    state.block(word);
  }
  uint64_t last = static_cast<uint64_t>(text.size()) << 56;
  for (int shift = 0; i < text.size(); ++i, shift += 8)
    last |= static_cast<uint64_t>(static_cast<unsigned char>(text[i])) << shift;
  state.block(last);
  state.v2 ^= 0xff;
  for (int r = 0; r < 4; ++r) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

std::array<uint64_t, 2> draw_keys() {
  std::random_device device;
  std::array<uint64_t, 2> keys;
  for (uint64_t& key : keys) key = (static_cast<uint64_t>(device()) << 32) | device();
  return keys;
}

}  // namespace

uint64_t keyed_hash(HashPurpose purpose, std::string_view text) {
  static const std::array<uint64_t, 2> keys = draw_keys();
  return siphash(keys[0] ^ static_cast<uint64_t>(purpose), keys[1], text);
}

}  // namespace pagoda
