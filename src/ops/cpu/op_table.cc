#include "ops/cpu/cpu_stream.h"
#include "ops/cpu/ops.h"

namespace pagoda {

const OpTable& cpu_ops() {
  static constexpr OpTable kTable{.name = "cpu",
                                  .packed_bytes = cpu::packed_bytes,
                                  .max_input_bytes = cpu::max_input_bytes,
                                  .kv_block_bytes = cpu::kv_block_bytes,
                                  .pack_weight = cpu::pack_weight,
                                  .adopt_packed = cpu::adopt_packed,
                                  .pack_bias = cpu::pack_bias,
                                  .convert_input = cpu::convert_input,
                                  .matmul = cpu::matmul,
                                  .embedding = cpu::embedding,
                                  .rms_norm = cpu::rms_norm,
                                  .rms_norm_add = cpu::rms_norm_add,
                                  .rms_norm_heads = cpu::rms_norm_heads,
                                  .rope = cpu::rope,
                                  .gather_rows = cpu::gather_rows,
                                  .choose_experts = cpu::choose_experts,
                                  .gather_input = cpu::gather_input,
                                  .scatter_rows = cpu::scatter_rows,
                                  .kv_store = cpu::kv_store,
                                  .paged_attention = cpu::paged_attention,
                                  .argmax = cpu::argmax,
                                  .mask_logits = cpu::mask_logits,
                                  .soft_cap = cpu::soft_cap,
                                  .add_scaled = cpu::add_scaled};
  return kTable;
}

}  // namespace pagoda
