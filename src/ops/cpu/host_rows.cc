#include "ops/host_rows.h"

#include <algorithm>

#include "ops/cpu/run.h"

namespace pagoda {

RowMax row_max(std::span<const float> row) {
  const auto count = static_cast<int64_t>(row.size());
  PAGODA_CHECK(count > 0, "a row of nothing has no maximum");
  RowMax found{};
  int64_t begin = 0;
  found.value = cpu::kernels().rows.maximum(row.data(), count, &begin, &found.is_finite);
  if (!found.is_finite) return found;
  const auto at = std::find(row.begin() + begin, row.end(), found.value);
  PAGODA_CHECK(at != row.end(), "a maximum is in its row");
  found.index = static_cast<int32_t>(at - row.begin());
  return found;
}

void shift_and_divide(std::span<float> y, std::span<const float> x, float by, float divisor) {
  PAGODA_CHECK(y.size() == x.size(), "a row of another length");
  cpu::kernels().rows.shift_and_divide(y.data(), x.data(), by, divisor, static_cast<int64_t>(x.size()));
}

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
