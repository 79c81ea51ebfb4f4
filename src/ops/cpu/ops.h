// The CPU's body of every op (op_table.h). Device memory is the host's; all threads of the pool work on an
// op.
#pragma once
#include "ops/op_table.h"

namespace pagoda::cpu {

std::size_t packed_bytes(const PackedWeight::Header& header);
std::size_t max_input_bytes(int64_t k, int64_t rows);
std::size_t kv_block_bytes(const KvLayout& layout);

Result<std::unique_ptr<PackedWeight>> pack_weight(std::span<const Weight> parts, const WeightFormat& format,
                                                  bool gated, ComputeStream& stream);
std::unique_ptr<PackedWeight> adopt_packed(const PackedWeight::Header& header,
                                           std::span<const std::byte> payload,
                                           std::shared_ptr<const void> owner, ComputeStream& stream);
DeviceBuffer pack_bias(const PackedWeight& weight, std::span<const float> bias, ComputeStream& stream);
void convert_input(const MatmulInput& input, const Tensor& x, ComputeStream& stream);
void matmul(const Tensor& y, const MatmulInput& x, const PackedWeight& w, DeviceSpan<const float> bias,
            Epilogue epilogue, ComputeStream& stream);
void embedding(const Tensor& y, DeviceSpan<const int32_t> input_ids, const PackedWeight& table, float scale,
               ComputeStream& stream);
void rms_norm(const MatmulInput& y, const Tensor& x, DeviceSpan<const float> weight, float eps,
              ComputeStream& stream);
void rms_norm_add(const Tensor& y, const Tensor& x, DeviceSpan<const float> weight, float eps,
                  ComputeStream& stream);
void rms_norm_heads(const Tensor& x, int32_t num_heads, int32_t head_dim, DeviceSpan<const float> weight,
                    float eps, ComputeStream& stream);
void rope(const Tensor& x, DeviceSpan<const int32_t> positions, int32_t num_heads, int32_t head_dim,
          const RopeTable& table, ComputeStream& stream);
void gather_rows(const Tensor& y, const Tensor& x, DeviceSpan<const int32_t> rows, ComputeStream& stream);
void choose_experts(std::span<int32_t> experts, std::span<float> weights, const Tensor& logits,
                    bool normalize, ComputeStream& stream);
void gather_input(const MatmulInput& input, const Tensor& x, DeviceSpan<const int32_t> rows,
                  ComputeStream& stream);
void scatter_rows(const Tensor& y, const Tensor& x, const ExpertShare& share, bool stores,
                  ComputeStream& stream);
void kv_store(const KvLayerView& kv, const Tensor& k, const Tensor& v, const AttnBatch& batch,
              ComputeStream& stream);
void paged_attention(const Tensor& out, const Tensor& q, const KvLayerView& kv, const AttnBatch& batch,
                     int32_t num_heads, ComputeStream& stream);
void argmax(std::span<RowMax> out, const Tensor& logits, ComputeStream& stream);
void mask_logits(const Tensor& out, const Tensor& logits, DeviceSpan<const int32_t> rows,
                 DeviceSpan<const uint32_t> masks, ComputeStream& stream);
void soft_cap(const Tensor& x, float cap, ComputeStream& stream);
void add_scaled(const Tensor& y, const Tensor& x, float scale, ComputeStream& stream);

}  // namespace pagoda::cpu
