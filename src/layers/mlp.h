#pragma once
#include <vector>

#include "layers/linear.h"
#include "ops/moe.h"

namespace pagoda {

// Room for what an MLP makes on its way. Layers share it, so it is sized by the largest.
struct MlpScratch {
  DeviceBuffer activated;   // [num_tokens, intermediate] float32
  DeviceBuffer down_input;  // down().input_bytes(num_tokens)
  // Of a mixture of experts:
  DeviceBuffer router_logits;  // [num_tokens, num_experts] float32
  DeviceBuffer expert_input;   // an expert's input_bytes(num_tokens)
  DeviceBuffer expert_output;  // [num_tokens, hidden] float32
  ExpertRouting routing;
};

// down(activation(gate(x)) * up(x)) (Shazeer, "GLU variants improve transformer", 2020).
class GatedMlp {
 public:
  // expert: which one of the layer's; -1: the layer is dense.
  static Result<GatedMlp> load(const WeightSource& source, const MlpConfig& config, int32_t expert = -1);

  // y = mlp(x), or y += mlp(x), by `epilogue`. x: input() rows; y: [num_tokens, hidden] float32.
  void forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, MlpScratch* scratch,
               ComputeStream& stream) const;
  const Linear& input() const { return gate_up_; }
  const Linear& down() const { return down_; }

 private:
  MlpConfig config_;
  Linear gate_up_, down_;
};

// A layer's MLP: one that every token passes, or a mixture of experts (Shazeer et al., 2017; Fedus et al.,
// 2021), where a router gives each token to some, whose outputs are summed by its weights. The router's
// choice and the sum are float32, experts in ascending order: a token's output depends on its own row alone.
class Mlp {
 public:
  static Result<Mlp> load(const WeightSource& source, const MlpConfig& config);

  // As GatedMlp::forward().
  void forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, MlpScratch* scratch,
               ComputeStream& stream) const;
  // What reads x: the router, or the gate and its other half.
  const Linear& input() const { return config_.num_experts > 0 ? router_ : experts_[0].input(); }
  std::vector<const Linear*> linears() const;

 private:
  void forward_experts(const Tensor& y, const LinearInput& x, Epilogue epilogue, MlpScratch* scratch,
                       ComputeStream& stream) const;

  MlpConfig config_;
  Linear router_;                  // of a mixture
  std::vector<GatedMlp> experts_;  // one: a dense layer's
};

}  // namespace pagoda
