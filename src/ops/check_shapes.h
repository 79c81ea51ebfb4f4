// The checks of ops/x.cc. A failed one says which operand of which op has which shape and which was asked
// for.
#pragma once
#include <cstdint>

#include "tensor/device_memory.h"
#include "tensor/tensor.h"

namespace pagoda {

[[noreturn]] void matrix_check_failed(const char* operand, const Tensor& tensor, int64_t rows,
                                      int64_t columns);
[[noreturn]] void size_check_failed(const char* operand, int64_t size, int64_t wanted);

// A float32 matrix of so many rows, at least as wide as `columns`. operand: "rms_norm: x".
inline void check_matrix(const char* operand, const Tensor& tensor, int64_t rows, int64_t columns) {
  if (tensor.rank != 2 || tensor.dtype != DType::kF32 || tensor.rows() != rows ||
      tensor.columns() < columns || tensor.row_stride < columns) [[unlikely]]
    matrix_check_failed(operand, tensor, rows, columns);
}
// A product: float32 or bfloat16, exactly as wide.
inline void check_product(const char* operand, const Tensor& tensor, int64_t rows, int64_t columns) {
  const bool is_number = tensor.dtype == DType::kF32 || tensor.dtype == DType::kBF16;
  if (tensor.rank != 2 || !is_number || tensor.rows() != rows || tensor.columns() != columns ||
      tensor.row_stride < columns) [[unlikely]]
    matrix_check_failed(operand, tensor, rows, columns);
}
inline void check_size(const char* operand, int64_t size, int64_t wanted) {
  if (size != wanted) [[unlikely]]
    size_check_failed(operand, size, wanted);
}
inline void check_size_min(const char* operand, int64_t size, int64_t wanted) {
  if (size < wanted) [[unlikely]]
    size_check_failed(operand, size, wanted);
}

}  // namespace pagoda
