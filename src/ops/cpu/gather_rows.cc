#include "ops/gather_rows.h"

#include <cstring>

#include "ops/cpu/ops.h"
#include "ops/cpu/run.h"

namespace pagoda::cpu {

void gather_rows(const Tensor& y, const Tensor& x, DeviceSpan<const int32_t> rows, ComputeStream& stream) {
  split(stream, rows.size, x.columns(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      PAGODA_CHECK(rows.data[i] >= 0 && rows.data[i] < x.rows(), "a row of the matrix");
      std::memcpy(y.row<float>(i), x.row<float>(rows.data[i]),
                  static_cast<std::size_t>(x.columns()) * sizeof(float));
    }
  });
}

}  // namespace pagoda::cpu
