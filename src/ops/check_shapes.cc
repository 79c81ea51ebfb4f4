#include "ops/check_shapes.h"

#include <fmt/format.h>

#include "base/check.h"

namespace pagoda {

void matrix_check_failed(const char* operand, const Tensor& tensor, int64_t rows, int64_t columns) {
  const std::string message = fmt::format("{} is {} [{}, {}] of rank {} with rows {} apart, not F32 [{}, {}]",
                                          operand, dtype_name(tensor.dtype), tensor.shape[0], tensor.shape[1],
                                          tensor.rank, tensor.row_stride, rows, columns);
  check_failed(__FILE__, __LINE__, "shape", message.c_str());
}

void size_check_failed(const char* operand, int64_t size, int64_t wanted) {
  const std::string message = fmt::format("{} has {} elements, not {}", operand, size, wanted);
  check_failed(__FILE__, __LINE__, "shape", message.c_str());
}

}  // namespace pagoda
