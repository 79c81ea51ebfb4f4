#pragma once
#include <cstdint>
#include <span>

#include "ops/compute_stream.h"

namespace pagoda {

// cos and sin of position * frequency (radians), times `magnitude`, by absolute position: computed once in
// double and rounded to float, [max_positions, frequencies.size()] each.
class RopeTable {
 public:
  RopeTable(std::span<const double> frequencies, double magnitude, int64_t max_positions,
            DeviceMemory& memory);
  DeviceSpan<const float> cos() const { return cos_.span<const float>(); }
  DeviceSpan<const float> sin() const { return sin_.span<const float>(); }
  int64_t half() const { return half_; }  // pairs of a head that are rotated
  int64_t max_positions() const { return max_positions_; }

 private:
  int64_t half_, max_positions_;
  DeviceBuffer cos_, sin_;
};

// Rotates, in place, num_heads heads of head_dim each at the start of every row of x ([num_tokens, >=
// num_heads * head_dim] float32), pairing dim i with dim i + table.half() ("neox" halves, as Hugging Face
// checkpoints are laid out). Requires: positions < table.max_positions().
void rope(const Tensor& x, DeviceSpan<const int32_t> positions, int32_t num_heads, int32_t head_dim,
          const RopeTable& table, ComputeStream& stream);

}  // namespace pagoda
