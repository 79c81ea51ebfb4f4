#include "ops/gather.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

void embedding(const Tensor& y, DeviceSpan<const int32_t> input_ids, const PackedWeight& table, float scale,
               ComputeStream& stream) {
  PAGODA_CHECK(!table.header().is_gated, "a table has one row per id");
  check_matrix("embedding: y", y, input_ids.size, table.k());
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().embedding(y, input_ids, table, scale, stream);
}

void gather_rows(const Tensor& y, const Tensor& x, DeviceSpan<const int32_t> rows, ComputeStream& stream) {
  check_matrix("gather_rows: x", x, x.rows(), y.columns());
  check_matrix("gather_rows: y", y, rows.size, x.columns());
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().gather_rows(y, x, rows, stream);
}

}  // namespace pagoda
