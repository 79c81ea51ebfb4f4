#include "runner/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "model/decoder.h"
#include "ops/attention.h"
#include "runner/cpu_model_runner.h"

namespace pagoda {
namespace {

double gib(double bytes) {
  return bytes / static_cast<double>(1ull << 30);
}

// The greatest length whose blocks fit; 0: none.
int32_t longest_that_fits(const MemoryRequest& request, int64_t num_usable_blocks) {
  int32_t low = 0, high = request.max_model_len;
  while (low < high) {
    const int32_t middle = low + (high - low + 1) / 2;
    if (blocks_per_sequence(request.groups, middle, request.max_num_batched_tokens) <= num_usable_blocks)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

Status too_little(const MemoryRequest& request, uint64_t available, uint64_t block_bytes,
                  int64_t needed_blocks) {
  const int64_t usable = std::max<int64_t>(static_cast<int64_t>(available / block_bytes) - 1, 0);
  const int32_t longest = longest_that_fits(request, usable);
  return invalid_argument(fmt::format(
      "the KV cache is too small for one request of max_model_len {}: {:.2f} GiB are needed, {:.2f} GiB are "
      "available; {}. "
      "Use a smaller --max-model-len, or give the cache more: --kv-cache-memory-bytes, "
      "--gpu-memory-utilization (now {:.2f} "
      "of {:.2f} GiB, of which weights take {:.2f} GiB and activations {:.2f} GiB)",
      request.max_model_len, gib(static_cast<double>(needed_blocks) * static_cast<double>(block_bytes)),
      gib(static_cast<double>(available)),
      longest > 0 ? fmt::format("the longest that would fit is {}", longest) : "not even one block fits",
      request.utilization, gib(static_cast<double>(request.usable_bytes)),
      gib(static_cast<double>(request.weight_bytes)), gib(static_cast<double>(request.activation_bytes))));
}

}  // namespace

std::vector<KvGroupSpec> kv_groups(const ModelConfig& config, int32_t block_size, DType kv_dtype) {
  const AttentionShape& shape = config.attention;
  const uint64_t layer_bytes = kv_block_bytes(kv_dtype, shape.num_kv_heads, shape.head_dim, block_size);
  std::vector<KvGroupSpec> groups;
  for (int32_t window : attention_windows(config)) {
    auto num_layers = std::count_if(config.layers.begin(), config.layers.end(),
                                    [&](const LayerConfig& layer) { return layer.window == window; });
    groups.push_back({block_size, window, layer_bytes * static_cast<uint64_t>(num_layers)});
  }
  return groups;
}

Result<MemoryPlan> plan_memory(const MemoryRequest& request) {
  MemoryPlan plan;
  for (const KvGroupSpec& group : request.groups) plan.block_bytes += group.block_bytes;
  PAGODA_CHECK(plan.block_bytes > 0, "a block has bytes");
  const int64_t per_sequence =
      blocks_per_sequence(request.groups, request.max_model_len, request.max_num_batched_tokens);
  const int64_t needed = per_sequence + 1;  // the null block

  uint64_t available = request.kv_cache_bytes;
  int64_t num_blocks;
  if (request.num_blocks_override > 0) {
    num_blocks = request.num_blocks_override;
    if (plan.block_bytes > static_cast<uint64_t>(INT64_MAX / num_blocks))
      return invalid_argument(fmt::format("{} blocks of {} bytes each are more than any machine has: use a "
                                          "smaller --num-gpu-blocks-override",
                                          num_blocks, plan.block_bytes),
                              "num-gpu-blocks-override");
    available = static_cast<uint64_t>(num_blocks) * plan.block_bytes;
  } else if (request.kv_cache_bytes > 0) {
    num_blocks = static_cast<int64_t>(std::min<uint64_t>(available / plan.block_bytes, INT32_MAX));
  } else {
    const auto budget =
        static_cast<uint64_t>(static_cast<double>(request.usable_bytes) * request.utilization);
    const uint64_t used = request.weight_bytes + request.activation_bytes;
    available = budget > used ? budget - used : 0;
    const int64_t useful = std::min<int64_t>(per_sequence * request.max_num_seqs + 1, INT32_MAX);
    num_blocks =
        static_cast<int64_t>(std::min<uint64_t>(available / plan.block_bytes, static_cast<uint64_t>(useful)));
  }
  if (num_blocks < needed) return too_little(request, available, plan.block_bytes, needed);
  plan.num_blocks = static_cast<int32_t>(num_blocks);
  plan.kv_bytes = static_cast<uint64_t>(num_blocks) * plan.block_bytes;
  plan.max_concurrency = static_cast<double>(num_blocks - 1) / static_cast<double>(per_sequence);
  return plan;
}

uint64_t estimate_weight_bytes(const ModelSpec& spec, const WeightFormat& layers,
                               const WeightFormat& vocabulary) {
  uint64_t total = 0;
  for (const ExpectedTensor& tensor : expected_tensors(spec).tensors) {
    const bool is_vocabulary =
        tensor.name == spec.names.embedding + ".weight" || tensor.name == spec.names.head + ".weight";
    if (tensor.shape.size() == 2)
      total += packed_bytes({tensor.shape[0], tensor.shape[1], is_vocabulary ? vocabulary : layers});
    else
      total += static_cast<uint64_t>(tensor.shape[0]) * sizeof(float);
  }
  return total;
}

uint64_t estimate_activation_bytes(const ModelConfig& config, int32_t max_num_batched_tokens,
                                   int64_t max_positions) {
  const auto row_bytes = static_cast<uint64_t>(config.vocab_size) * sizeof(float);
  const uint64_t rope_bytes =
      static_cast<uint64_t>(max_positions) * static_cast<uint64_t>(config.rope.rotary_dim) * sizeof(float);
  constexpr uint64_t kRest = 64ull << 20;  // scratch of the workers, tokenizer, server
  return Activations::bytes(config, max_num_batched_tokens) + std::max<uint64_t>(kLogitsBytes, row_bytes) +
         rope_bytes + kRest;
}

}  // namespace pagoda
