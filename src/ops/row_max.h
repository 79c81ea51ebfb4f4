#pragma once
#include <cstdint>
#include <span>

namespace pagoda {

struct RowMax {
  float value;
  int32_t index;   // the lowest of equal ones
  bool is_finite;  // no NaN and no +infinity among them; -infinity is a token that cannot be. Else the rest
                   // is void
};
// One pass over a row of logits. Requires: not empty.
RowMax row_max(std::span<const float> row);

// y[i] = (x[i] - by) / divisor: logits relative to their largest, at a temperature. y may be x.
void shift_and_divide(std::span<float> y, std::span<const float> x, float by, float divisor);

}  // namespace pagoda
