#pragma once
#include <string>

#include "layers/linear.h"

namespace pagoda {

struct MlpNames {
  std::string gate, up, down;  // without `.weight`
};

// down(silu(gate(x)) * up(x)) (Shazeer, "GLU variants improve transformer", 2020).
class GatedMlp {
 public:
  static Result<GatedMlp> load(const WeightSource& source, const MlpNames& names, bool has_bias);

  // residual += mlp(x). x: input() rows; residual: [num_tokens, hidden]; activated: room for [num_tokens,
  // intermediate] float32; down_room: down().input_bytes(num_tokens).
  void forward(const Tensor& residual, const MatmulInput& x, const Tensor& activated, Buffer* down_room,
               ComputeStream& stream) const;
  const Linear& input() const { return gate_up_; }
  const Linear& down() const { return down_; }
  std::size_t bytes() const { return gate_up_.bytes() + down_.bytes(); }

 private:
  Linear gate_up_, down_;
};

}  // namespace pagoda
