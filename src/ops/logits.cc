#include "ops/logits.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

void argmax(std::span<RowMax> out, const Tensor& logits, ComputeStream& stream) {
  PAGODA_CHECK(logits.columns() > 0, "a row of nothing has no maximum");
  check_matrix("argmax: logits", logits, static_cast<int64_t>(out.size()), logits.columns());
  stream.ops().argmax(out, logits, stream);
}

void mask_logits(const Tensor& out, const Tensor& logits, DeviceSpan<const int32_t> rows,
                 DeviceSpan<const uint32_t> masks, ComputeStream& stream) {
  check_matrix("mask_logits: logits", logits, logits.rows(), out.columns());
  check_matrix("mask_logits: out", out, rows.size, logits.columns());
  check_size("mask_logits: masks", masks.size, rows.size * ((logits.columns() + 31) / 32));
  stream.ops().mask_logits(out, logits, rows, masks, stream);
}

}  // namespace pagoda
