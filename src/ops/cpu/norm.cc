#include "ops/norm.h"

#include "ops/cpu/ops.h"
#include "ops/cpu/run.h"

namespace pagoda::cpu {

void rms_norm(const MatmulInput& y, const Tensor& x, DeviceSpan<const float> weight, float eps,
              ComputeStream& stream) {
  const int64_t count = x.columns();
  const auto scratch_bytes = static_cast<std::size_t>(count) * sizeof(float);
  split_workers(stream, y.rows, 8 * count, [&](int64_t begin, int64_t end, int worker) {
    auto* row = static_cast<float*>(cpu_stream(stream).scratch(worker, scratch_bytes));
    for (int64_t t = begin; t < end; ++t) {
      kernels().rows.rms_norm(row, x.row<float>(t), weight.data, eps, count);
      convert_row(y, t, row);
    }
  });
}

void rms_norm_add(const Tensor& y, const Tensor& x, DeviceSpan<const float> weight, float eps,
                  ComputeStream& stream) {
  const int64_t count = x.columns();
  const auto scratch_bytes = static_cast<std::size_t>(count) * sizeof(float);
  split_workers(stream, y.rows(), 8 * count, [&](int64_t begin, int64_t end, int worker) {
    auto* row = static_cast<float*>(cpu_stream(stream).scratch(worker, scratch_bytes));
    for (int64_t t = begin; t < end; ++t) {
      kernels().rows.rms_norm(row, x.row<float>(t), weight.data, eps, count);
      kernels().rows.add_scaled(y.row<float>(t), row, 1, count);
    }
  });
}

void rms_norm_heads(const Tensor& x, int32_t num_heads, int32_t head_dim, DeviceSpan<const float> weight,
                    float eps, ComputeStream& stream) {
  const int64_t columns = int64_t{num_heads} * head_dim;
  split(stream, x.rows(), 8 * columns, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (float *head = x.row<float>(t), *last = head + columns; head < last; head += head_dim)
        kernels().rows.rms_norm(head, head, weight.data, eps, head_dim);
  });
}

}  // namespace pagoda::cpu
