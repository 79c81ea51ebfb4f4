#include "ops/rope.h"

#include <cmath>

#include "ops/cpu/run.h"

namespace pagoda {

RopeTable::RopeTable(std::span<const double> frequencies, double magnitude, int64_t max_positions)
    : half_(static_cast<int64_t>(frequencies.size())), max_positions_(max_positions) {
  PAGODA_CHECK(half_ > 0 && max_positions >= 0, "a rotary table of some pairs");
  const auto size = static_cast<std::size_t>(half_ * max_positions);
  cos_.resize(size);
  sin_.resize(size);
  for (int64_t position = 0; position < max_positions; ++position) {
    for (int64_t i = 0; i < half_; ++i) {
      const auto at = static_cast<std::size_t>(position * half_ + i);
      const double angle = static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)];
      cos_[at] = static_cast<float>(std::cos(angle) * magnitude);
      sin_[at] = static_cast<float>(std::sin(angle) * magnitude);
    }
  }
}

void rope(const Tensor& x, const int32_t* positions, int32_t num_heads, int32_t head_dim,
          const RopeTable& table, ComputeStream& stream) {
  const OpTimer timer(stream, OpKind::kRows);
  const int64_t half = table.half();
  PAGODA_CHECK(2 * half <= head_dim, "rotary_dim exceeds head_dim");
  cpu::check_matrix(x, x.rows(), int64_t{num_heads} * head_dim);
  cpu::split(stream, x.rows(), int64_t{2} * num_heads * half, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t position = positions[t];
      PAGODA_CHECK(position >= 0 && position < table.max_positions(), "position outside of the rotary table");
      for (int64_t head = 0; head < num_heads; ++head)
        cpu::kernels().rows.rope(x.row<float>(t) + head * head_dim, table.cos(position), table.sin(position),
                                 half);
    }
  });
}

}  // namespace pagoda
