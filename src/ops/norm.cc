#include "ops/norm.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

void rms_norm(const MatmulInput& y, const Tensor& x, DeviceSpan<const float> weight, float eps,
              ComputeStream& stream) {
  check_matrix("rms_norm: x", x, y.rows, y.k);
  check_size("rms_norm: x's columns", x.columns(), y.k);
  check_size("rms_norm: weight", weight.size, y.k);
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().rms_norm(y, x, weight, eps, stream);
}

void rms_norm_add(const Tensor& y, const Tensor& x, DeviceSpan<const float> weight, float eps,
                  ComputeStream& stream) {
  check_matrix("rms_norm_add: x", x, y.rows(), x.columns());
  check_matrix("rms_norm_add: y", y, y.rows(), x.columns());
  check_size("rms_norm_add: weight", weight.size, x.columns());
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().rms_norm_add(y, x, weight, eps, stream);
}

void rms_norm_heads(const Tensor& x, int32_t num_heads, int32_t head_dim, DeviceSpan<const float> weight,
                    float eps, ComputeStream& stream) {
  check_matrix("rms_norm_heads: x", x, x.rows(), int64_t{num_heads} * head_dim);
  check_size("rms_norm_heads: weight", weight.size, head_dim);
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().rms_norm_heads(x, num_heads, head_dim, weight, eps, stream);
}

}  // namespace pagoda
