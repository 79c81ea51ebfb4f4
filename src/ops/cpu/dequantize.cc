#include "ops/cpu/dequantize.h"

#include <cstring>

#include "base/check.h"

namespace pagoda::cpu {
namespace {

float code_at(const Weight& weight, const std::byte* row, int64_t column) {
  if (weight.quant.bits == 4) {
    const auto both = static_cast<uint8_t>(row[column / 2]);
    return static_cast<float>(column % 2 == 0 ? both & 15 : both >> 4);
  }
  const auto code = static_cast<uint8_t>(row[column]);
  if (weight.dtype == DType::kF8E4M3) return e4m3_to_float(code);
  return weight.dtype == DType::kI8 ? static_cast<float>(static_cast<int8_t>(code))
                                    : static_cast<float>(code);
}

float scale_at(const Weight& weight, int64_t group) {
  const std::byte* at = weight.scales.data() + group * static_cast<int64_t>(dtype_bytes(weight.scale_dtype));
  if (weight.scale_dtype == DType::kF32) {
    float scale;
    std::memcpy(&scale, at, sizeof scale);
    return scale;
  }
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  return weight.scale_dtype == DType::kBF16 ? bf16_to_float(half) : f16_to_float(half);
}

}  // namespace

void dequantize_row(const Weight& weight, int64_t row, float* out) {
  PAGODA_DCHECK(weight.quant.scheme == QuantScheme::kGrouped, "a weight of codes");
  const std::byte* codes = weight.data.data() + row * weight.row_stride;
  const int64_t first_group = weight.row_group(row) * weight.num_column_groups();
  const int64_t run = weight.quant.group_columns == 0 ? weight.columns : weight.quant.group_columns;
  for (int64_t column = 0; column < weight.columns; ++column) {
    const int64_t in_row =
        weight.column_groups.empty() ? column / run : weight.column_groups[static_cast<std::size_t>(column)];
    const int64_t group = first_group + in_row;
    const float zero =
        weight.zeros.empty()
            ? static_cast<float>(weight.quant.zero)
            : static_cast<float>(static_cast<uint8_t>(weight.zeros[static_cast<std::size_t>(group)]));
    out[column] = (code_at(weight, codes, column) - zero) * scale_at(weight, group);
  }
}

}  // namespace pagoda::cpu
