#include "ops/norm.h"

#include "ops/cpu/run.h"

namespace pagoda {

void rms_norm(const MatmulInput& y, const Tensor& x, const float* weight, float eps, ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  const int64_t count = x.columns();
  cpu::check_matrix(x, y.rows, y.k);
  PAGODA_CHECK(count == y.k, "an input of another width");
  const auto scratch_bytes = static_cast<std::size_t>(count) * sizeof(float);
  cpu::split_workers(stream, y.rows, 8 * count, [&](int64_t begin, int64_t end, int worker) {
    auto* row = static_cast<float*>(stream.scratch(worker, scratch_bytes));
    for (int64_t t = begin; t < end; ++t) {
      cpu::kernels().rows.rms_norm(row, x.row<float>(t), weight, eps, count);
      cpu::convert_row(y, t, row);
    }
  });
}

}  // namespace pagoda
