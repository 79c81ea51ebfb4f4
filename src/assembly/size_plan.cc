#include "assembly/size_plan.h"

#include <algorithm>

#include "base/env.h"
#include "base/log.h"
#include "model/kv_groups.h"
#include "runner/kv_storage.h"
#include "runner/make_runner.h"

namespace pagoda {
namespace {

constexpr double kGiB = 1024. * 1024 * 1024;

// Flags of the prefix cache that would otherwise change nothing without a word, as vLLM checks them.
Status check_prefix_cache(const CacheArgs& args, const ModelConfig& config) {
  if (!args.prefix_cache.enabled) return {};
  if (args.prefix_match_unit.value_or(args.block_size) != args.block_size)
    return invalid_argument(
        fmt::format("--prefix-match-unit {}: hits of the prefix cache land on blocks of {} tokens; leave it "
                    "out or change --block-size",
                    *args.prefix_match_unit, args.block_size),
        "prefix-match-unit");
  const int64_t interval = args.prefix_cache_retention_interval;
  if (interval == 0) return {};
  if (std::ranges::all_of(config.layers,
                          [](const LayerConfig& layer) { return layer.attention.window == 0; }))
    return invalid_argument(
        "--prefix-cache-retention-interval has no effect: no layer of this model has a sliding window below "
        "--max-model-len; set it to 0",
        "prefix-cache-retention-interval");
  if (interval % args.block_size != 0)
    return invalid_argument(
        fmt::format("--prefix-cache-retention-interval {} must be a multiple of the block "
                    "size, {}",
                    interval, args.block_size),
        "prefix-cache-retention-interval");
  return {};
}

// What does not depend on max_model_len is filled in; the plan is asked for one or for the longest that fits.
MemoryRequest memory_request(const CacheArgs& args, const ModelSource& source,
                             const std::vector<KvGroupSpec>& groups) {
  MemoryRequest request;
  request.usable_bytes = usable_memory_bytes();
  request.utilization = args.gpu_memory_utilization;
  request.kv_cache_bytes = static_cast<uint64_t>(args.kv_cache_memory_bytes.value_or(0));
  request.keeps_unused = args.prefix_cache.enabled;
  request.num_blocks_override = static_cast<int32_t>(args.num_gpu_blocks_override.value_or(0));
  request.weight_bytes =
      estimate_weight_bytes(source.spec, source.formats, source.checkpoint.get(), device_ops());
  request.groups = groups;
  return request;
}

// vLLM's rules: no more sequences than tokens in a step, no more tokens than all sequences together can have.
Result<SizePlan> sizes_for(const EngineArgs& args, const ModelSource& source, MemoryRequest request,
                           int64_t max_model_len) {
  SizePlan sizes;
  sizes.max_model_len = static_cast<int32_t>(max_model_len);
  // A prompt that is not computed in chunks must fit a step.
  const SchedulerConfig& wanted = args.config.scheduler;
  const int64_t step_tokens = wanted.enable_chunked_prefill
                                  ? wanted.max_num_batched_tokens
                                  : std::max<int64_t>(wanted.max_num_batched_tokens, max_model_len);
  const int64_t seqs = std::min<int64_t>(wanted.max_num_seqs, step_tokens);
  sizes.max_num_seqs = static_cast<int32_t>(seqs);
  sizes.max_num_batched_tokens = static_cast<int32_t>(std::min(step_tokens, seqs * max_model_len));
  request.activation_bytes = estimate_activation_bytes(source.spec.config, sizes.max_num_batched_tokens,
                                                       source.used.max_input_parts(), device_ops());
  request.position_bytes = estimate_position_bytes(source.spec.config, request.groups, sizes.max_num_seqs);
  request.max_model_len = sizes.max_model_len;
  request.max_num_seqs = sizes.max_num_seqs;
  request.max_num_batched_tokens = sizes.max_num_batched_tokens;
  PAGODA_TRY(sizes.memory, plan_memory(request));
  return sizes;
}

// The longest that fits, or what is asked for.
Result<SizePlan> plan_lengths(const EngineArgs& args, const ModelSource& source,
                              const MemoryRequest& request) {
  int64_t context = source.spec.config.context_length, wanted = args.model.max_model_len.value_or(context);
  if (wanted > context && !args.model.allow_long_max_model_len)
    return invalid_argument(
        "--max-model-len " + std::to_string(wanted) + " is more than the " + std::to_string(context) +
            " positions this model was made for (max_position_embeddings); choose a smaller one, or set "
            "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 and expect worse answers behind them",
        "max-model-len");
  if (wanted > context)
    log_warning("--max-model-len {} is more than the {} positions this model was made for.", wanted, context);
  if (wanted > 0) return sizes_for(args, source, request, wanted);
  Result<SizePlan> best = sizes_for(args, source, request, context);
  for (int64_t low = 1, high = context;
       !best.ok() && low < high;) {  // the longest that fits lies in [low, high)
    int64_t middle = (low + high) / 2;
    Result<SizePlan> sizes = sizes_for(args, source, request, middle);
    if (!sizes.ok())
      high = middle;
    else if (middle == low)
      best = std::move(sizes);
    else
      low = middle;
  }
  return best;
}

}  // namespace

std::string with_commas(int64_t number) {
  std::string digits = std::to_string(number), text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

Result<SizePlan> plan_sizes(const EngineArgs& args, const ModelSource& source) {
  PAGODA_TRY(DType kv_dtype, parse_kv_dtype(args.cache.kv_cache_dtype, source.formats.dtype));
  PAGODA_RETURN_IF_ERROR(check_prefix_cache(args.cache, source.spec.config));
  const auto block_size = static_cast<int32_t>(args.cache.block_size);
  std::vector<KvGroupSpec> groups = kv_groups(source.spec.config, kv_dtype, block_size, device_ops());
  PAGODA_TRY(SizePlan sizes, plan_lengths(args, source, memory_request(args.cache, source, groups)));
  sizes.kv_dtype = kv_dtype;
  sizes.block_size = block_size;
  sizes.groups = std::move(groups);
  return sizes;
}

void log_memory(const SizePlan& sizes) {
  log_info("Available KV cache memory: {:.2f} GiB", static_cast<double>(sizes.memory.kv_bytes) / kGiB);
  log_info("CPU KV cache size: {} tokens, Maximum concurrency for {} tokens per request: {:.2f}x",
           with_commas(sizes.memory.num_tokens), with_commas(sizes.max_model_len),
           sizes.memory.max_concurrency);
  log_info(
      "KV cache of {}: {} bytes per token", dtype_name(sizes.kv_dtype),
      with_commas(static_cast<int64_t>(sizes.memory.block_bytes * sizes.groups.size()) / sizes.block_size));
}

void warn_of_scarce_memory(const SizePlan& sizes) {
  const uint64_t kv_bytes = sizes.memory.kv_bytes;
  uint64_t available = available_memory_bytes();
  if (kv_bytes <= available) return;
  log_warning(
      "The KV cache may grow to {:.2f} GiB, but only {:.2f} GiB of memory are free now; under load the "
      "system "
      "may end this process. Use a smaller --gpu-memory-utilization, or --kv-cache-memory-bytes.",
      static_cast<double>(kv_bytes) / kGiB, static_cast<double>(available) / kGiB);
}

}  // namespace pagoda
