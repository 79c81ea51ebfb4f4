#include "sample/gumbel.h"

#include <array>
#include <bit>
#include <cmath>

#include "base/rng.h"
#include "ops/host_rows.h"

namespace pagoda {
namespace {

constexpr uint32_t kCoarse = 0, kFine = 1;  // last words of the counter
constexpr TokenId kPerCall = 4;

// Noise is -log(-log(1 - v)), v uniform in (0, 1) with 64 bits. The 32 upper bits come four tokens to a
// Philox call; the lower ones only for a token that may win.
class Noise {
 public:
  Noise(uint64_t seed, int32_t output_index)
      : draw_{{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
              static_cast<uint32_t>(output_index)} {}

  const NoiseDraw& draw() const { return draw_; }
  uint32_t upper(TokenId token) const {
    const auto block = static_cast<uint32_t>(token / kPerCall);
    return philox4x32({block, draw_.index, 0, kCoarse},
                      draw_.key)[static_cast<std::size_t>(token % kPerCall)];
  }
  double value(TokenId token, uint32_t upper) const {
    const uint32_t lower = philox4x32({static_cast<uint32_t>(token), draw_.index, 0, kFine}, draw_.key)[0];
    const uint64_t bits = static_cast<uint64_t>(upper) << 32 | lower;
    const double v = std::min((static_cast<double>(bits) + 0.5) * 0x1p-64, 1 - 0x1p-53);
    return -std::log(-std::log1p(-v));
  }

 private:
  NoiseDraw draw_;
};

}  // namespace

TokenId gumbel_draw(std::span<const float> logits, const Cutoff& cutoff, TokenId most_probable, uint64_t seed,
                    int32_t output_index) {
  const Noise noise(seed, output_index);
  // The favourite first: the higher the bar, the fewer logarithms below.
  TokenId winner = most_probable;
  double best = noise.value(winner, noise.upper(winner));
  NoiseFinds finds;
  for (int64_t begin = 0; find_noise(logits, begin, noise.draw(), cutoff.logit, best, &finds);
       begin = finds.first + static_cast<int64_t>(finds.upper.size()))
    for (uint64_t left = finds.found; left != 0; left &= left - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(left));
      const auto id = static_cast<TokenId>(finds.first + static_cast<int64_t>(i));
      const float logit = logits[static_cast<std::size_t>(id)];
      if (id == most_probable || !cutoff.keeps(logit, id)) continue;
      const double score = static_cast<double>(logit) + noise.value(id, finds.upper[i]);
      if (score > best || (score == best && id < winner)) {
        best = score;
        winner = id;
      }
    }
  return winner;
}

}  // namespace pagoda
