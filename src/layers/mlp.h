#pragma once
#include "layers/linear.h"

namespace pagoda {

// Room for what an MLP makes on its way. Layers share it, so it is sized by the largest.
struct MlpScratch {
  Buffer activated;   // [num_tokens, intermediate] float32
  Buffer down_input;  // down().input_bytes(num_tokens)
};

// down(silu(gate(x)) * up(x)) (Shazeer, "GLU variants improve transformer", 2020).
class GatedMlp {
 public:
  static Result<GatedMlp> load(const WeightSource& source, const MlpConfig& config);

  // y = mlp(x), or y += mlp(x), by `epilogue`. x: input() rows; y: [num_tokens, hidden] float32.
  void forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, MlpScratch* scratch,
               ComputeStream& stream) const;
  const Linear& input() const { return gate_up_; }
  const Linear& down() const { return down_; }
  std::size_t bytes() const { return gate_up_.bytes() + down_.bytes(); }

 private:
  MlpConfig config_;
  Linear gate_up_, down_;
};

}  // namespace pagoda
