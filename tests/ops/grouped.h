// A weight of codes, scales and zero points, made of random bits, and the numbers that it stands for by the
// definition.
#pragma once
#include <cstring>
#include <vector>

#include "tensor/weight.h"
#include "tests/ops/guarded.h"

namespace pagoda::testing {

struct GroupedMatrix {
  GroupedMatrix(int64_t rows, int64_t columns, DType codes_dtype, const Quantization& quant,
                DType scale_dtype, Random& random)
      : weight(plain_weight("w", codes_dtype, rows, columns, {})) {
    weight.quant = quant;
    weight.row_stride = weight.row_bytes();
    weight.scale_dtype = scale_dtype;
    auto fill = [&](std::vector<std::byte>* bytes, int64_t count) {
      for (int64_t i = 0; i < count; ++i) bytes->push_back(static_cast<std::byte>(random.below(256)));
    };
    fill(&codes, rows * weight.row_stride);
    if (codes_dtype == DType::kF8E4M3)  // no NaN
      for (std::byte& code : codes)
        if ((code & std::byte{0x7F}) == std::byte{0x7F}) code = std::byte{1};
    const int64_t groups = (weight.row_group(rows - 1) + 1) * weight.num_column_groups();
    for (int64_t i = 0; i < groups; ++i) {
      scale_values.push_back(rounded_to(scale_dtype, random.normal() * 0.01f));
      const uint16_t half = scale_dtype == DType::kBF16 ? float_to_bf16(scale_values.back())
                                                        : float_to_f16(scale_values.back());
      const void* from = scale_dtype == DType::kF32 ? static_cast<const void*>(&scale_values.back()) : &half;
      scales.resize(scales.size() + dtype_bytes(scale_dtype));
      std::memcpy(scales.data() + scales.size() - dtype_bytes(scale_dtype), from, dtype_bytes(scale_dtype));
    }
    if (quant.has_zeros) fill(&zeros, groups);
    weight.data = codes;
    weight.scales = scales;
    weight.zeros = zeros;
  }
  GroupedMatrix(const GroupedMatrix&) = delete;

  float at(int64_t row, int64_t column) const {
    const Quantization& quant = weight.quant;
    const auto byte = static_cast<uint8_t>(
        codes[static_cast<std::size_t>(row * weight.row_stride + (quant.bits == 4 ? column / 2 : column))]);
    float code = byte;
    if (quant.bits == 4) code = static_cast<float>(column % 2 == 0 ? byte % 16 : byte / 16);
    if (weight.dtype == DType::kI8) code = static_cast<float>(byte < 128 ? byte : byte - 256);
    if (weight.dtype == DType::kF8E4M3) code = e4m3_to_float(byte);
    const int64_t across = quant.group_columns == 0 ? 1 : (weight.columns - 1) / quant.group_columns + 1;
    int64_t group = quant.group_columns == 0 ? 0 : column / quant.group_columns;
    if (!weight.column_groups.empty()) group = weight.column_groups[static_cast<std::size_t>(column)];
    if (quant.group_rows > 0) group += row / quant.group_rows * across;
    const float zero = quant.has_zeros
                           ? static_cast<float>(static_cast<uint8_t>(zeros[static_cast<std::size_t>(group)]))
                           : static_cast<float>(quant.zero);
    return scale_values[static_cast<std::size_t>(group)] * (code - zero);
  }

  Weight weight;  // a view of:
  std::vector<std::byte> codes, scales, zeros;
  std::vector<float> scale_values;
};

// What weights are stored as elsewhere (see QuantScheme).
struct GroupedCase {
  const char* like;
  DType codes;
  Quantization quant;
  DType scales;
};
inline constexpr QuantScheme kGroupedScheme = QuantScheme::kGrouped;
inline constexpr GroupedCase kGroupedCases[] = {
    {"AWQ", DType::kU8, {kGroupedScheme, 4, 1, 128, true}, DType::kF16},
    {"GPTQ, symmetric", DType::kU8, {kGroupedScheme, 4, 1, 32, false, 8}, DType::kF16},
    {"compressed-tensors W8A8", DType::kI8, {kGroupedScheme, 8, 1, 0}, DType::kBF16},
    {"FP8 per tensor", DType::kF8E4M3, {kGroupedScheme, 8, 0, 0}, DType::kF32},
    {"FP8 per output", DType::kF8E4M3, {kGroupedScheme, 8, 1, 0}, DType::kF32},
    {"FP8 in blocks", DType::kF8E4M3, {kGroupedScheme, 8, 128, 128}, DType::kF32},
    {"8 bits with zero points", DType::kU8, {kGroupedScheme, 8, 1, 64, true}, DType::kF32},
    {"odd groups", DType::kU8, {kGroupedScheme, 4, 3, 5, true}, DType::kBF16},
};

}  // namespace pagoda::testing
