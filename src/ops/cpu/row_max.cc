#include "ops/row_max.h"

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

}  // namespace pagoda
