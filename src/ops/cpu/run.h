// What the ops' .cc files share: the kernels in use, and how work is split over the pool.
#pragma once
#include <algorithm>

#include "ops/cpu/kernels.h"
#include "ops/isa.h"
#include "ops/stream.h"

namespace pagoda::cpu {

const KernelTable& kernels();  // of selected_isa()
const KernelTable& kernels_of(Isa isa);

// F32, BF16 and F16 only.
bool is_kernel_dtype(DType dtype);
Elem elem_of(DType dtype);

// Work below this many multiply-adds (some microseconds) is not worth waking another thread for.
inline constexpr int64_t kWorkPerThread = 1 << 17;

// job(begin, end) over [0, count) on as many threads as the work is worth; `work_each` in multiply-adds per
// index.
template <class Job>
void split(Stream& stream, int64_t count, int64_t work_each, Job&& job) {
  int64_t grain = (kWorkPerThread + work_each - 1) / std::max<int64_t>(work_each, 1);
  stream.pool().parallel_for(count, std::max<int64_t>(grain, 1), job);
}

inline void check_matrix(const Tensor& tensor, int64_t rows, int64_t columns) {
  PAGODA_CHECK(tensor.rank == 2 && tensor.dtype == DType::kF32 && tensor.rows() == rows &&
                   tensor.columns() >= columns && tensor.row_stride >= columns,
               "an op's operand has another shape or dtype than the op asks for");
}

}  // namespace pagoda::cpu
