#pragma once
#include "layers/norm.h"
#include "ops/add_scaled.h"

namespace pagoda {

// How attention or an MLP reads the residual stream and is added to it: with a norm before it, behind it or
// both, and scaled.
class ResidualBranch {
 public:
  static Result<ResidualBranch> load(const WeightSource& source, TensorRole pre_norm, TensorRole post_norm,
                                     const NormConfig& norms, float scale) {
    ResidualBranch branch;
    branch.placement_ = norms.placement;
    branch.scale_ = scale;
    if (norms.placement != NormPlacement::kPost) {
      PAGODA_TRY(branch.pre_norm_, RmsNorm::load(source, pre_norm, norms));
    }
    if (norms.placement != NormPlacement::kPre) {
      PAGODA_TRY(branch.post_norm_, RmsNorm::load(source, post_norm, norms, scale));
    }
    return branch;
  }

  // x: what the branch reads; residual: [num_tokens, hidden] float32.
  void read(const LinearInput& x, const Tensor& residual, ComputeStream& stream) const {
    if (placement_ == NormPlacement::kPost) return x.convert(residual, stream);
    pre_norm_.forward(x.forms(), residual, stream);
  }
  // Where and how the branch writes: onto the residual itself, where nothing stands between; else to `room`,
  // [num_tokens, hidden] float32, for add().
  const Tensor& target(const Tensor& residual, const Tensor& room) const {
    return adds_directly() ? residual : room;
  }
  Epilogue epilogue() const { return adds_directly() ? Epilogue::kAdd : Epilogue::kStore; }
  void add(const Tensor& residual, const Tensor& room, ComputeStream& stream) const {
    if (adds_directly()) return;
    if (placement_ == NormPlacement::kPre) return add_scaled(residual, room, scale_, stream);
    post_norm_.forward_add(residual, room, stream);
  }

 private:
  bool adds_directly() const { return placement_ == NormPlacement::kPre && scale_ == 1; }

  NormPlacement placement_ = NormPlacement::kPre;
  float scale_ = 1;
  RmsNorm pre_norm_, post_norm_;
};

}  // namespace pagoda
