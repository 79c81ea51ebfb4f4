#include "ops/activation.h"

#include "ops/cpu/run.h"

namespace pagoda {

void silu_mul(const Tensor& y, const Tensor& x, Stream& stream) {
  const int64_t count = x.columns() / 2;
  cpu::check_matrix(x, x.rows(), 2 * count);
  cpu::check_matrix(y, x.rows(), count);
  cpu::split(stream, x.rows(), 8 * count, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* gate = x.row<float>(t);
      cpu::kernels().rows.silu_mul(y.row<float>(t), gate, gate + count, count);
    }
  });
}

}  // namespace pagoda
