#include "ops/rope.h"

#include "ops/cpu/ops.h"
#include "ops/cpu/run.h"

namespace pagoda::cpu {

void rope(const Tensor& x, DeviceSpan<const int32_t> positions, int32_t num_heads, int32_t head_dim,
          const RopeTable& table, ComputeStream& stream) {
  const int64_t half = table.half();
  split(stream, x.rows(), int64_t{2} * num_heads * half, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t position = positions.data[t];
      PAGODA_CHECK(position >= 0 && position < table.max_positions(), "position outside of the rotary table");
      const float *cos = table.cos().data + position * half, *sin = table.sin().data + position * half;
      for (int64_t head = 0; head < num_heads; ++head)
        kernels().rows.rope(x.row<float>(t) + head * head_dim, cos, sin, half);
    }
  });
}

}  // namespace pagoda::cpu
