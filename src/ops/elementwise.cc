#include "ops/elementwise.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

void add_scaled(const Tensor& y, const Tensor& x, float scale, ComputeStream& stream) {
  check_matrix("add_scaled: x", x, y.rows(), x.columns());
  check_matrix("add_scaled: y", y, y.rows(), x.columns());
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().add_scaled(y, x, scale, stream);
}

void soft_cap(const Tensor& x, float cap, ComputeStream& stream) {
  check_matrix("soft_cap: x", x, x.rows(), x.columns());
  PAGODA_CHECK(cap > 0, "a cap is positive");
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().soft_cap(x, cap, stream);
}

}  // namespace pagoda
