#include "sample/gumbel.h"

#include <array>
#include <cmath>

#include "base/rng.h"

namespace pagoda {
namespace {

constexpr uint32_t kCoarse = 0, kFine = 1;  // last words of the counter
constexpr TokenId kPerCall = 4;

// Noise is -log(-log(1 - v)), v uniform in (0, 1) with 64 bits. The 32 upper bits come four tokens to a
// Philox call; the lower ones only for a token that may win.
class Noise {
 public:
  Noise(uint64_t seed, int32_t output_index)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        index_(static_cast<uint32_t>(output_index)) {}

  // Upper bits of tokens 4 * block .. 4 * block + 3.
  std::array<uint32_t, 4> coarse(TokenId block) const {
    return philox4x32({static_cast<uint32_t>(block), index_, 0, kCoarse}, key_);
  }
  double value(TokenId token, uint32_t upper) const {
    const uint32_t lower = philox4x32({static_cast<uint32_t>(token), index_, 0, kFine}, key_)[0];
    const uint64_t bits = static_cast<uint64_t>(upper) << 32 | lower;
    const double v = std::min((static_cast<double>(bits) + 0.5) * 0x1p-64, 1 - 0x1p-53);
    return -std::log(-std::log1p(-v));
  }

 private:
  std::array<uint32_t, 2> key_;
  uint32_t index_;
};

// No noise is larger: -log(2^-65).
constexpr double kNoiseMax = 45.1;
constexpr double kStepsPerUnit = 8;

// Upper bounds of exp(-gap), by gap in steps of 1/8.
const std::array<double, 368>& gap_table() {
  static const std::array<double, 368> table = [] {
    std::array<double, 368> out;
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = std::exp(-static_cast<double>(i) / kStepsPerUnit) * (1 + 1e-9);
    return out;
  }();
  return table;
}

}  // namespace

TokenId gumbel_draw(std::span<const float> logits, const Cutoff& cutoff, TokenId most_probable, uint64_t seed,
                    int32_t output_index) {
  const Noise noise(seed, output_index);
  const std::array<double, 368>& table = gap_table();
  // The favourite first: the higher the bar, the fewer logarithms below.
  TokenId winner = most_probable;
  double best =
      noise.value(winner, noise.coarse(winner / kPerCall)[static_cast<std::size_t>(winner % kPerCall)]);

  const auto vocab = static_cast<TokenId>(logits.size());
  for (TokenId first = 0; first < vocab; first += kPerCall) {
    std::array<uint32_t, 4> upper;
    bool have_upper = false;
    for (TokenId id = first; id < std::min(first + kPerCall, vocab); ++id) {
      const float logit = logits[static_cast<std::size_t>(id)];
      const double gap = best - static_cast<double>(logit);
      if (gap > kNoiseMax || id == most_probable || !cutoff.keeps(logit, id)) continue;
      if (!have_upper) upper = noise.coarse(first / kPerCall);
      have_upper = true;
      // It wins only if -log(1 - v) < exp(-gap); as -log(1 - v) >= v, a v above that bound has lost already.
      const uint32_t bits = upper[static_cast<std::size_t>(id - first)];
      if (gap > 0 &&
          static_cast<double>(bits) * 0x1p-32 > table[static_cast<std::size_t>(gap * kStepsPerUnit)])
        continue;
      const double score = static_cast<double>(logit) + noise.value(id, bits);
      if (score > best || (score == best && id < winner)) {
        best = score;
        winner = id;
      }
    }
  }
  return winner;
}

}  // namespace pagoda
