#pragma once
#include <memory>

#include "ops/cpu/run.h"
#include "ops/matmul.h"

namespace pagoda::cpu {

// Sizes of a packed weight's panels (matmul_kernels.h); valid headers only.
struct PanelLayout {
  explicit PanelLayout(const PackedWeight::Header& header);
  Dot dot;
  int64_t num_panels, panel_bytes;
  int64_t padded_k;                              // inputs as the kernels see them: zeros behind k
  int64_t words;                                 // of an input row
  int64_t group_words;                           // kInt4; else 0
  int64_t steps;                                 // of a panel; kInt4: groups
  std::size_t column_scale_offset, total_bytes;  // integers: [k] float32 behind the panels
};

// Panels [ceil(n / 64)] one after the other, the last padded with zero outputs; then what inputs are
// multiplied by.
class PanelWeight final : public PackedWeight {
 public:
  // `payload`: of device memory that `owner` keeps.
  PanelWeight(const Header& header, DeviceSpan<const std::byte> payload, std::shared_ptr<const void> owner)
      : PackedWeight(header, payload), layout_(header), owner_(std::move(owner)) {}
  std::size_t input_bytes(int64_t rows) const override;
  MatmulInput input_at(void* memory, int64_t rows) const override;
  const PanelLayout& layout() const { return layout_; }
  const std::byte* panel(int64_t index) const { return payload().data + index * layout_.panel_bytes; }
  const float* column_scale() const {  // null: none
    if (layout_.column_scale_offset == 0) return nullptr;
    return reinterpret_cast<const float*>(payload().data + layout_.column_scale_offset);
  }

 private:
  PanelLayout layout_;
  std::shared_ptr<const void> owner_;
};

inline const PanelWeight& panels_of(const PackedWeight& weight) {
  return static_cast<const PanelWeight&>(weight);
}

// Products of so few rows are limited by how fast the weights are read.
inline constexpr int64_t kFewRows = 6;
// Panels [first, first + num_panels) of matmul(); operands checked there.
void multiply_panels(const Tensor& y, const MatmulInput& input, const PanelWeight& weight,
                     DeviceSpan<const float> bias, Epilogue epilogue, int64_t first, int64_t num_panels,
                     CpuStream& stream);

// Which output stands in lane `lane` of panel `panel`: its row among the parts' rows, or -1 for padding.
int64_t packed_row(const PackedWeight::Header& header, int64_t panel, int64_t lane);

}  // namespace pagoda::cpu
