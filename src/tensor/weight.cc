#include "tensor/weight.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace pagoda {
namespace {

constexpr int64_t kSizeMax = std::numeric_limits<int64_t>::max() / 16;  // of a product; bytes still fit then

int64_t ceil_div(int64_t a, int64_t b) {
  return a / b + (a % b != 0);
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

bool is_code(DType dtype, int32_t bits) {
  if (bits == 4) return dtype == DType::kU8;
  return bits == 8 && (dtype == DType::kU8 || dtype == DType::kI8 || dtype == DType::kF8E4M3);
}

Status check_groups(const Weight& weight) {
  const Quantization& quant = weight.quant;
  if (!is_code(weight.dtype, quant.bits) || !is_float(weight.scale_dtype))
    return invalid_argument(
        fmt::format("weight {} has codes of {} bits with scales of {}, which are not read", describe(weight),
                    quant.bits, dtype_name(weight.scale_dtype)));
  if (quant.group_rows < 0 || quant.group_columns < 0 || weight.first_row_in_group < 0 ||
      weight.first_row_in_group >= std::max(quant.group_rows, 1))
    return invalid_argument("weight " + describe(weight) + " has groups of a size that cannot be");
  const int64_t across = weight.num_column_groups(), down = weight.row_group(weight.rows - 1) + 1;
  if (down > kSizeMax / across ||
      weight.scales.size() != static_cast<std::size_t>(down * across) * dtype_bytes(weight.scale_dtype))
    return invalid_argument(fmt::format("weight {} has {} bytes of scales for {} x {} groups",
                                        describe(weight), weight.scales.size(), down, across));
  if (weight.zeros.size() != (quant.has_zeros ? static_cast<std::size_t>(down * across) : 0))
    return invalid_argument(fmt::format("weight {} has {} zero points for {} x {} groups", describe(weight),
                                        weight.zeros.size(), down, across));
  if (weight.column_groups.empty()) return {};
  if (weight.column_groups.size() != static_cast<std::size_t>(weight.columns) ||
      std::any_of(weight.column_groups.begin(), weight.column_groups.end(),
                  [&](int32_t group) { return group < 0 || group >= across; }))
    return invalid_argument("weight " + describe(weight) + " has columns of groups that are not there");
  return {};
}

}  // namespace

int64_t Weight::row_bytes() const {
  return quant.bits == 4 ? ceil_div(columns, 2) : columns * static_cast<int64_t>(dtype_bytes(dtype));
}

int64_t Weight::num_column_groups() const {
  return quant.group_columns == 0 ? 1 : ceil_div(columns, quant.group_columns);
}

int64_t Weight::row_group(int64_t row) const {
  return quant.group_rows == 0 ? 0 : (first_row_in_group + row) / quant.group_rows;
}

Weight Weight::rows_of(int64_t begin, int64_t count) const {
  PAGODA_CHECK(begin >= 0 && count > 0 && begin <= rows - count, "rows of the weight");
  Weight slice = *this;
  slice.rows = count;
  slice.data = data.subspan(static_cast<std::size_t>(begin * row_stride),
                            static_cast<std::size_t>((count - 1) * row_stride + row_bytes()));
  if (quant.scheme == QuantScheme::kNone || quant.group_rows == 0) return slice;
  slice.first_row_in_group = static_cast<int32_t>((first_row_in_group + begin) % quant.group_rows);
  const auto across = static_cast<std::size_t>(num_column_groups());
  const std::size_t first = static_cast<std::size_t>(row_group(begin)) * across;
  const std::size_t groups = static_cast<std::size_t>(slice.row_group(count - 1) + 1) * across;
  slice.scales = scales.subspan(first * dtype_bytes(scale_dtype), groups * dtype_bytes(scale_dtype));
  if (quant.has_zeros) slice.zeros = zeros.subspan(first, groups);
  return slice;
}

Weight plain_weight(std::string name, DType dtype, int64_t rows, int64_t columns,
                    std::span<const std::byte> data) {
  Weight weight;
  weight.name = std::move(name);
  weight.dtype = dtype;
  weight.rows = rows;
  weight.columns = columns;
  weight.row_stride = columns * static_cast<int64_t>(dtype_bytes(dtype));
  weight.data = data;
  return weight;
}

std::string describe(const Weight& weight) {
  return fmt::format("'{}' ({} [{}, {}])", weight.name, dtype_name(weight.dtype), weight.rows,
                     weight.columns);
}

Status check_weight(const Weight& weight) {
  if (weight.rows <= 0 || weight.columns <= 0)
    return invalid_argument("weight " + describe(weight) + " is empty");
  const bool fits = weight.rows <= kSizeMax / weight.columns && weight.row_stride >= weight.row_bytes() &&
                    weight.rows <= kSizeMax / weight.row_stride;
  if (!fits || weight.data.size() !=
                   static_cast<std::size_t>((weight.rows - 1) * weight.row_stride + weight.row_bytes()))
    return invalid_argument(fmt::format("weight {} has {} bytes, which is not what its shape asks for",
                                        describe(weight), weight.data.size()));
  return weight.quant.scheme == QuantScheme::kNone ? Status() : check_groups(weight);
}

}  // namespace pagoda
