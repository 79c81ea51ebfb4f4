#include "ops/rope.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {

RopeTable::RopeTable(std::span<const double> frequencies, double magnitude, int64_t max_positions,
                     DeviceMemory& memory)
    : half_(static_cast<int64_t>(frequencies.size())), max_positions_(max_positions) {
  PAGODA_CHECK(half_ > 0 && max_positions >= 0, "a rotary table of some pairs");
  const std::size_t row_bytes = frequencies.size() * sizeof(float);
  cos_ = DeviceBuffer::uninitialized(memory, static_cast<std::size_t>(max_positions) * row_bytes);
  sin_ = DeviceBuffer::uninitialized(memory, cos_.bytes());
  constexpr int64_t kPositions = 1024;  // on the host at a time
  std::vector<float> cos, sin;
  for (int64_t begin = 0; begin < max_positions; begin += kPositions) {
    cos.clear();
    sin.clear();
    for (int64_t position = begin; position < std::min(begin + kPositions, max_positions); ++position)
      for (double frequency : frequencies) {
        const double angle = static_cast<double>(position) * frequency;
        cos.push_back(static_cast<float>(std::cos(angle) * magnitude));
        sin.push_back(static_cast<float>(std::sin(angle) * magnitude));
      }
    cos_.copy_from_host(static_cast<std::size_t>(begin) * row_bytes, std::as_bytes(std::span(cos)));
    sin_.copy_from_host(static_cast<std::size_t>(begin) * row_bytes, std::as_bytes(std::span(sin)));
  }
}

void rope(const Tensor& x, DeviceSpan<const int32_t> positions, int32_t num_heads, int32_t head_dim,
          const RopeTable& table, ComputeStream& stream) {
  PAGODA_CHECK(2 * table.half() <= head_dim, "rotary_dim exceeds head_dim");
  check_matrix("rope: x", x, positions.size, int64_t{num_heads} * head_dim);
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().rope(x, positions, num_heads, head_dim, table, stream);
}

}  // namespace pagoda
