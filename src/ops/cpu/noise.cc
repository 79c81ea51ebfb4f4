#include "ops/noise.h"

#include <algorithm>

#include "ops/cpu/run.h"

namespace pagoda {

bool find_noise(std::span<const float> logits, int64_t begin, const NoiseDraw& draw, float least, double best,
                NoiseFinds* finds) {
  cpu::NoiseScan scan;
  scan.logits = logits.data();
  scan.count = static_cast<int64_t>(logits.size());
  scan.begin = begin;
  scan.key0 = draw.key[0];
  scan.key1 = draw.key[1];
  scan.index = draw.index;
  scan.least = least;
  scan.best = static_cast<float>(best);
  if (!cpu::kernels().noise.scan(&scan)) return false;
  finds->first = scan.begin;
  finds->found = scan.found;
  std::copy_n(scan.upper, finds->upper.size(), finds->upper.begin());
  return true;
}

}  // namespace pagoda
