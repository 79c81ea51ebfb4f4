#include "ops/soft_cap.h"

#include "ops/cpu/run.h"

namespace pagoda {

void soft_cap(const Tensor& x, float cap, ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  cpu::check_matrix(x, x.rows(), x.columns());
  PAGODA_CHECK(cap > 0, "a cap is positive");
  cpu::split(stream, x.rows(), 16 * x.columns(), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) cpu::kernels().rows.soft_cap(x.row<float>(t), cap, x.columns());
  });
}

}  // namespace pagoda
