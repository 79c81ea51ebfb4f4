#pragma once
#include <vector>

#include "layers/linear.h"
#include "ops/elementwise.h"
#include "ops/norm.h"

namespace pagoda {

class RmsNorm {
 public:
  // scale: of what it gives.
  static Result<RmsNorm> load(const WeightSource& source, TensorRole role, const NormConfig& config,
                              float scale = 1) {
    const TensorSpec* tensor = find_tensor(source.tensors, role);
    PAGODA_CHECK(tensor != nullptr, "a norm of the list");
    RmsNorm norm;
    norm.eps_ = config.eps;
    PAGODA_TRY(std::vector<float> weight, load_vector(source, *tensor));
    for (float& number : weight) number = (config.adds_one ? 1 + number : number) * scale;
    norm.weight_ = DeviceBuffer::copy_of(source.stream.memory(), std::as_bytes(std::span(weight)));
    return norm;
  }
  // x: [num_tokens, hidden] float32; y: what the layer behind the norm reads, in each of its forms.
  void forward(std::span<const MatmulInput> y, const Tensor& x, ComputeStream& stream) const {
    for (const MatmulInput& form : y) rms_norm(form, x, weight_.span<const float>(), eps_, stream);
  }
  // y += norm(x); both [num_tokens, hidden] float32.
  void forward_add(const Tensor& y, const Tensor& x, ComputeStream& stream) const {
    rms_norm_add(y, x, weight_.span<const float>(), eps_, stream);
  }
  // In place, each run of as many columns as the norm has weights by itself.
  void forward_heads(const Tensor& x, ComputeStream& stream) const {
    const DeviceSpan<const float> weight = weight_.span<const float>();
    const auto head_dim = static_cast<int32_t>(weight.size);
    rms_norm_heads(x, static_cast<int32_t>(x.columns()) / head_dim, head_dim, weight, eps_, stream);
  }

 private:
  DeviceBuffer weight_;
  float eps_ = 0;
};

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
