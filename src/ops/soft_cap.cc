#include "ops/soft_cap.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

void soft_cap(const Tensor& x, float cap, ComputeStream& stream) {
  check_matrix("soft_cap: x", x, x.rows(), x.columns());
  PAGODA_CHECK(cap > 0, "a cap is positive");
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().soft_cap(x, cap, stream);
}

}  // namespace pagoda
