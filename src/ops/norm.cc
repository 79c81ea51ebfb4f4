#include "ops/norm.h"

#include "ops/cpu/run.h"

namespace pagoda {

void rms_norm(const Tensor& y, const Tensor& x, const float* weight, float eps, Stream& stream) {
  const int64_t count = x.columns();
  cpu::check_matrix(x, x.rows(), count);
  cpu::check_matrix(y, x.rows(), count);
  cpu::split(stream, x.rows(), count, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      cpu::kernels().rows.rms_norm(y.row<float>(t), x.row<float>(t), weight, eps, count);
  });
}

}  // namespace pagoda
