#include "ops/elementwise.h"

#include "ops/cpu/ops.h"
#include "ops/cpu/run.h"

namespace pagoda::cpu {

void add_scaled(const Tensor& y, const Tensor& x, float scale, ComputeStream& stream) {
  const int64_t columns = x.columns();
  split(stream, y.rows(), 4 * columns, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      kernels().rows.add_scaled(y.row<float>(t), x.row<float>(t), scale, columns);
  });
}

void soft_cap(const Tensor& x, float cap, ComputeStream& stream) {
  split(stream, x.rows(), 16 * x.columns(), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) kernels().rows.soft_cap(x.row<float>(t), cap, x.columns());
  });
}

}  // namespace pagoda::cpu
