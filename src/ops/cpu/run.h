// What the bodies of the ops share: the kernels in use, and how work is split over the pool.
#pragma once
#include <algorithm>

#include "ops/cpu/cpu_stream.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/kernels.h"
#include "ops/matmul.h"

namespace pagoda::cpu {

const KernelTable& kernels();  // of selected_isa()
const KernelTable& kernels_of(Isa isa);

// F32, BF16 and F16 only.
bool is_kernel_dtype(DType dtype);
Elem elem_of(DType dtype);

// One row of float32 numbers in the form of `input`.
void convert_row(const MatmulInput& input, int64_t row, const float* x);

// job(begin, end) over [0, count) on as many threads as the work is worth; `work_each` in multiply-adds per
// index.
template <class Job>
void split(ComputeStream& stream, int64_t count, int64_t work_each, Job&& job) {
  const int64_t enough = cpu_stream(stream).tuning().work_per_thread;
  int64_t grain = (enough + work_each - 1) / std::max<int64_t>(work_each, 1);
  stream.pool().parallel_for(count, std::max<int64_t>(grain, 1), job);
}

// The same with job(begin, end, worker), for jobs that need the worker's scratch.
template <class Job>
void split_workers(ComputeStream& stream, int64_t count, int64_t work_each, Job&& job) {
  const int64_t useful = count * work_each / cpu_stream(stream).tuning().work_per_thread;
  const int64_t workers = std::clamp<int64_t>(useful, 1, stream.pool().num_threads());
  if (workers == 1) return job(0, count, 0);
  stream.pool().run([&](int worker) {
    if (worker < workers) job(count * worker / workers, count * (worker + 1) / workers, worker);
  });
}

}  // namespace pagoda::cpu
