#include "ops/logits.h"

#include <limits>

#include "ops/cpu/ops.h"
#include "ops/cpu/run.h"
#include "ops/host_rows.h"

namespace pagoda::cpu {

void argmax(std::span<RowMax> out, const Tensor& logits, ComputeStream& stream) {
  const int64_t columns = logits.columns();
  split(stream, logits.rows(), columns, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      out[static_cast<std::size_t>(row)] =
          row_max({logits.row<const float>(row), static_cast<std::size_t>(columns)});
  });
}

void mask_logits(const Tensor& out, const Tensor& logits, DeviceSpan<const int32_t> rows,
                 DeviceSpan<const uint32_t> masks, ComputeStream& stream) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const int64_t columns = logits.columns(), words = (columns + 31) / 32;
  split(stream, rows.size, columns, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      PAGODA_CHECK(rows.data[i] >= 0 && rows.data[i] < logits.rows(), "a row of the logits");
      const auto* from = logits.row<const float>(rows.data[i]);
      const uint32_t* mask = masks.data + i * words;
      auto* to = out.row<float>(i);
      for (int64_t token = 0; token < columns; ++token)
        to[token] = (mask[token / 32] >> (token % 32) & 1) == 0 ? kNever : from[token];
    }
  });
}

}  // namespace pagoda::cpu
