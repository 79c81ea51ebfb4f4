// Arithmetic on rows of HOST memory, with the CPU's vectors: what sampling does on the host with rows that
// have been read from the device.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "ops/logits.h"

namespace pagoda {

// One pass over a row of logits. Requires: not empty.
RowMax row_max(std::span<const float> row);

// y[i] = (x[i] - by) / divisor: logits relative to their largest, at a temperature. y may be x.
void shift_and_divide(std::span<float> y, std::span<const float> x, float by, float divisor);

// The upper 32 bits of the noise of the tokens 4 * block .. 4 * block + 3 in one draw of one seed are
// philox4x32({block, index, 0, 0}, key). A token's noise is -log(-log(1 - v)) with v = its bits / 2^32 or a
// little more, so that logit + noise reaches `best` only where v <= e^(logit - best).
struct NoiseDraw {
  std::array<uint32_t, 2> key;
  uint32_t index;
};

// Up to 64 neighbours of which some may win.
struct NoiseFinds {
  int64_t first = 0;               // a multiple of 64
  uint64_t found = 0;              // bit i: token first + i
  std::array<uint32_t, 64> upper;  // of those
};
// The first 64 tokens from `begin` (a multiple of 64) on with one whose logit is at least `least` and may
// reach `best`; false: there are none. Every token that does reach it is found, few others are, and which of
// those may depend on the instruction set.
bool find_noise(std::span<const float> logits, int64_t begin, const NoiseDraw& draw, float least, double best,
                NoiseFinds* finds);

}  // namespace pagoda
