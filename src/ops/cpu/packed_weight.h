#pragma once
#include "ops/cpu/run.h"
#include "ops/matmul.h"

namespace pagoda::cpu {

// [ceil(n / 16)][k][16 rows of the weight], the last panel padded with zero rows. The same for every
// instruction set: a product reads 16 outputs' weights as one vector, and any number of panels next to each
// other.
class PanelWeight final : public PackedWeight {
 public:
  PanelWeight(int64_t n, int64_t k, DType dtype)
      : PackedWeight(n, k),
        dtype_(dtype),
        panels_(static_cast<std::size_t>(round_up_lanes(n)) * static_cast<std::size_t>(k) *
                dtype_bytes(dtype)) {}
  std::size_t bytes() const override { return panels_.bytes(); }
  DType dtype() const { return dtype_; }
  int64_t num_panels() const { return round_up_lanes(n_) / kLanes; }
  std::byte* panel(int64_t index) { return static_cast<std::byte*>(panels_.data()) + index * panel_bytes(); }
  const std::byte* panel(int64_t index) const {
    return static_cast<const std::byte*>(panels_.data()) + index * panel_bytes();
  }

 private:
  int64_t panel_bytes() const { return k_ * kLanes * static_cast<int64_t>(dtype_bytes(dtype_)); }
  DType dtype_;
  Buffer panels_;
};

inline const PanelWeight& panels_of(const PackedWeight& weight) {
  return static_cast<const PanelWeight&>(weight);
}

}  // namespace pagoda::cpu
