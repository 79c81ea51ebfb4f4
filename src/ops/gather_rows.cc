#include "ops/gather_rows.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

void gather_rows(const Tensor& y, const Tensor& x, DeviceSpan<const int32_t> rows, ComputeStream& stream) {
  check_matrix("gather_rows: x", x, x.rows(), y.columns());
  check_matrix("gather_rows: y", y, rows.size, x.columns());
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().gather_rows(y, x, rows, stream);
}

}  // namespace pagoda
