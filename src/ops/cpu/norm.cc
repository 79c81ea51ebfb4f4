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

void rms_norm_add(const Tensor& y, const Tensor& x, const float* weight, float eps, ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  const int64_t count = x.columns();
  cpu::check_matrix(x, y.rows(), count);
  cpu::check_matrix(y, y.rows(), count);
  const auto scratch_bytes = static_cast<std::size_t>(count) * sizeof(float);
  cpu::split_workers(stream, y.rows(), 8 * count, [&](int64_t begin, int64_t end, int worker) {
    auto* row = static_cast<float*>(stream.scratch(worker, scratch_bytes));
    for (int64_t t = begin; t < end; ++t) {
      cpu::kernels().rows.rms_norm(row, x.row<float>(t), weight, eps, count);
      cpu::kernels().rows.add_scaled(y.row<float>(t), row, 1, count);
    }
  });
}

void rms_norm_heads(const Tensor& x, int32_t num_heads, int32_t head_dim, const float* weight, float eps,
                    ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  const int64_t columns = int64_t{num_heads} * head_dim;
  cpu::check_matrix(x, x.rows(), columns);
  cpu::split(stream, x.rows(), 8 * columns, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (float *head = x.row<float>(t), *last = head + columns; head < last; head += head_dim)
        cpu::kernels().rows.rms_norm(head, head, weight, eps, head_dim);
  });
}

}  // namespace pagoda
