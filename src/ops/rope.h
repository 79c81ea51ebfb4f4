#pragma once
#include <cstdint>
#include <vector>

#include "ops/compute_stream.h"
#include "tensor/tensor.h"

namespace pagoda {

// How the angle of each pair grows with the position. Su et al., "RoFormer" (2021); scaling as published with
// Llama 3.1.
struct RopeConfig {
  enum class Scaling : uint8_t { kNone, kLinear, kLlama3 } scaling = Scaling::kNone;
  int32_t rotary_dim = 0;  // the first dims of a head that are rotated; even
  double theta = 10000;
  double factor = 1;                                 // kLinear, kLlama3
  double low_freq_factor = 1, high_freq_factor = 4;  // kLlama3
  double original_max_position_embeddings = 8192;    // kLlama3
  bool operator==(const RopeConfig&) const = default;
};

// cos and sin by absolute position, computed once in double and rounded to float: [max_positions, rotary_dim
// / 2] each.
class RopeTable {
 public:
  RopeTable(const RopeConfig& config, int64_t max_positions);
  const float* cos(int64_t position) const { return cos_.data() + position * half_; }
  const float* sin(int64_t position) const { return sin_.data() + position * half_; }
  int64_t half() const { return half_; }
  int64_t max_positions() const { return max_positions_; }

 private:
  int64_t half_, max_positions_;
  std::vector<float> cos_, sin_;
};

// Rotates, in place, num_heads heads of head_dim each at the start of every row of x ([num_tokens, >=
// num_heads * head_dim] float32), pairing dim i with dim i + rotary_dim / 2 ("neox" halves, as Hugging Face
// checkpoints are laid out). Requires: positions < table.max_positions().
void rope(const Tensor& x, const int32_t* positions, int32_t num_heads, int32_t head_dim,
          const RopeTable& table, ComputeStream& stream);

}  // namespace pagoda
