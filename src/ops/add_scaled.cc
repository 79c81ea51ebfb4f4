#include "ops/add_scaled.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

void add_scaled(const Tensor& y, const Tensor& x, float scale, ComputeStream& stream) {
  check_matrix("add_scaled: x", x, y.rows(), x.columns());
  check_matrix("add_scaled: y", y, y.rows(), x.columns());
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().add_scaled(y, x, scale, stream);
}

}  // namespace pagoda
