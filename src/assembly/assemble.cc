#include "assembly/assemble.h"

#include <algorithm>

#include "assembly/kv_offload.h"
#include "assembly/memory_plan.h"
#include "assembly/model_files.h"
#include "assembly/model_info_builder.h"
#include "assembly/observability.h"
#include "assembly/text_assets.h"
#include "assembly/weight_loader.h"
#include "base/env.h"
#include "base/file_content.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mmap.h"
#include "layers/weight_formats.h"
#include "model/kv_groups.h"
#include "model/registry.h"
#include "model/tensor_list.h"
#include "runner/kv_storage.h"
#include "runner/make_runner.h"

namespace pagoda {
namespace {

constexpr double kGiB = 1024. * 1024 * 1024;

// The model before its weights: where its files are, its table, and where its numbers come from.
struct Source {
  ModelFiles files;
  std::string config;  // the JSON that `spec` was read from
  ModelSpec spec;
  std::unique_ptr<Checkpoint> checkpoint;
  WeightFormats formats;
  UsedFormats used;
};

Result<std::optional<DType>> parse_dtype_flag(const std::string& name) {
  if (name == "float32" || name == "float") return std::optional(DType::kF32);
  if (name == "bfloat16") return std::optional(DType::kBF16);
  if (name == "float16" || name == "half") return std::optional(DType::kF16);
  if (name == "auto" || name.empty()) return std::optional<DType>();
  return invalid_argument("dtype '" + name + "' is not one of auto, float32, bfloat16, float16", "dtype");
}

// The names of --kv-cache-dtype.
Result<DType> parse_kv_dtype(const std::string& name, DType of_the_model) {
  if (name == "int8" || name == "int8_per_token_head") return DType::kI8;
  if (name == "fp8" || name == "fp8_e4m3" || name == "fp8_per_token_head") return DType::kF8E4M3;
  PAGODA_TRY(std::optional<DType> wanted, parse_dtype_flag(name));
  return wanted.value_or(of_the_model);
}

Result<std::optional<WeightFormat>> parse_quantization(const std::string& name, const std::string& flag) {
  if (name.empty() || name == "none") return std::optional<WeightFormat>();
  if (std::optional<WeightFormat> format = quantized_format(name)) return format;
  return invalid_argument(
      "'" + name +
          "' is not one of none, int8, int4, int4-zp, int4-g32, int4-g32-zp: ways to quantize an unquantized "
          "checkpoint while it is loaded",
      flag);
}

Result<Object> read_config(const ModelArgs& args, const ModelFiles& files) {
  Object config;
  if (args.hf_config.empty()) {
    PAGODA_TRY(config, files.read_object("config.json", true));
  } else {
    PAGODA_TRY(std::string text, read_file(args.hf_config, 16 << 20));
    PAGODA_RETURN_IF_ERROR(judge_content(text, args.hf_config));
    Result<Value> value = parse_json(text);
    if (!value.ok()) return std::move(value.status()).with_context("'" + args.hf_config + "'");
    if (!value->is_object())
      return invalid_argument("'" + args.hf_config + "' must hold a JSON object", "hf-config");
    config = std::move(value->as_object());
  }
  if (args.hf_overrides.is_object())
    for (const Member& member : args.hf_overrides.as_object()) config.set(member.key, member.value);
  return config;
}

// The widest dtype among a checkpoint's matrices; vectors are held in float32 in any case.
DType widest_dtype(const Checkpoint& checkpoint) {
  bool f16 = false, bf16 = false;
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    if (tensor.shape.size() < 2 || !is_float_kind(tensor.dtype)) continue;
    f16 |= tensor.dtype == DType::kF16;
    bf16 |= tensor.dtype == DType::kBF16;
    if (tensor.dtype == DType::kF32 || tensor.dtype == DType::kF64) return DType::kF32;
  }
  return f16 && bf16 ? DType::kF32 : f16 ? DType::kF16 : DType::kBF16;  // neither half holds the other
}

// --dtype auto: all weights as config.json names it, as vLLM does, but never wider than the checkpoint has
// any: that would cost memory and tell nothing new.
Result<DType> auto_dtype(const Source& source) {
  std::string name = source.spec.config.stored_dtype;
  if (name.starts_with("torch.")) name.erase(0, 6);
  if (name == "float64" || name == "double") name = "float32";
  Result<std::optional<DType>> named = parse_dtype_flag(name);
  if (!source.checkpoint) {
    if (!named.ok()) return named.status();
    return named->value_or(DType::kBF16);
  }
  const DType widest = widest_dtype(*source.checkpoint);
  if (!named.ok() || !named->has_value() || **named == widest || **named == DType::kF32) return widest;
  log_info("Casting weights of {} to {}, as config.json says; --dtype chooses another.", dtype_name(widest),
           dtype_name(**named));
  return **named;
}

Result<Source> open_source(const ModelArgs& args) {
  Source source;
  bool dummy = args.load_format == "dummy";
  if (!dummy && !args.hf_config.empty() && args.path.empty())
    return invalid_argument("--hf-config needs a model, or --load-format dummy", "hf-config");
  if (!dummy || !args.path.empty() || args.hf_config.empty()) {
    PAGODA_TRY(source.files, ModelFiles::open(args.path));
  }
  PAGODA_TRY(Object config, read_config(args, source.files));
  const Value config_json(std::move(config));
  source.config = write_json(config_json);
  Result<ModelSpec> spec = read_model_spec(config_json);
  if (!spec.ok()) {
    std::string where = args.hf_config.empty() ? source.files.path_of("config.json") : args.hf_config;
    return std::move(spec.status()).with_context("'" + where + "'");
  }
  source.spec = *std::move(spec);
  if (!dummy) {
    PAGODA_TRY(source.checkpoint, source.files.open_checkpoint());
  }
  PAGODA_TRY(std::optional<DType> wanted, parse_dtype_flag(args.dtype));
  if (wanted) {
    source.formats.dtype = *wanted;
  } else {
    PAGODA_TRY(source.formats.dtype, auto_dtype(source));
  }
  PAGODA_TRY(source.formats.layers, parse_quantization(args.quantization, "quantization"));
  PAGODA_TRY(source.formats.vocabulary,
             parse_quantization(args.lm_head_quantization, "lm-head-quantization"));
  // The head decides between neighbouring tokens: 8 bits unless asked otherwise.
  if (source.formats.layers && args.lm_head_quantization.empty())
    source.formats.vocabulary = WeightFormat{WeightScheme::kInt8};
  source.used = source.formats.used(tensor_list(source.spec), source.checkpoint.get());
  return source;
}

// What does not depend on max_model_len is filled in; the plan is asked for one or for the longest that fits.
MemoryRequest memory_request(const CacheArgs& args, const Source& source, DType kv_dtype) {
  MemoryRequest request;
  request.usable_bytes = usable_memory_bytes();
  request.utilization = args.gpu_memory_utilization;
  request.kv_cache_bytes = static_cast<uint64_t>(args.kv_cache_memory_bytes.value_or(0));
  request.keeps_unused = args.enable_prefix_caching;
  request.num_blocks_override = static_cast<int32_t>(args.num_gpu_blocks_override.value_or(0));
  request.weight_bytes = estimate_weight_bytes(source.spec, source.formats, source.checkpoint.get());
  request.groups = kv_groups(source.spec.config, kv_dtype, static_cast<int32_t>(args.block_size));
  return request;
}

struct Sizes {
  int32_t max_model_len = 0, max_num_batched_tokens = 0, max_num_seqs = 0;
  MemoryPlan memory;
};

// vLLM's rules: no more sequences than tokens in a step, no more tokens than all sequences together can have.
Result<Sizes> sizes_for(const EngineArgs& args, const Source& source, MemoryRequest request,
                        int64_t max_model_len) {
  Sizes sizes;
  sizes.max_model_len = static_cast<int32_t>(max_model_len);
  // A prompt that is not computed in chunks must fit a step.
  const int64_t step_tokens = args.scheduler.enable_chunked_prefill
                                  ? args.scheduler.max_num_batched_tokens
                                  : std::max<int64_t>(args.scheduler.max_num_batched_tokens, max_model_len);
  int64_t seqs = std::min(args.scheduler.max_num_seqs, step_tokens);
  sizes.max_num_seqs = static_cast<int32_t>(seqs);
  sizes.max_num_batched_tokens = static_cast<int32_t>(std::min(step_tokens, seqs * max_model_len));
  request.activation_bytes = estimate_activation_bytes(source.spec.config, sizes.max_num_batched_tokens,
                                                       source.used.max_input_parts());
  request.position_bytes = estimate_position_bytes(source.spec.config, request.groups, sizes.max_num_seqs);
  request.max_model_len = sizes.max_model_len;
  request.max_num_seqs = sizes.max_num_seqs;
  request.max_num_batched_tokens = sizes.max_num_batched_tokens;
  PAGODA_TRY(sizes.memory, plan_memory(request));
  return sizes;
}

Result<Sizes> plan_sizes(const EngineArgs& args, const Source& source, DType kv_dtype) {
  MemoryRequest request = memory_request(args.cache, source, kv_dtype);
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
  Result<Sizes> best = sizes_for(args, source, request, context);
  for (int64_t low = 1, high = context;
       !best.ok() && low < high;) {  // the longest that fits lies in [low, high)
    int64_t middle = (low + high) / 2;
    Result<Sizes> sizes = sizes_for(args, source, request, middle);
    if (!sizes.ok())
      high = middle;
    else if (middle == low)
      best = std::move(sizes);
    else
      low = middle;
  }
  return best;
}

std::string with_commas(int64_t number) {
  std::string digits = std::to_string(number), text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

// Flags of the prefix cache that would otherwise change nothing without a word, as vLLM judges them.
Status judge_prefix_cache(const CacheArgs& args, const ModelConfig& config) {
  if (!args.enable_prefix_caching) return {};
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
        "--prefix-cache-retention-interval has no effect: no layer of this model has a sliding window; set "
        "it to 0",
        "prefix-cache-retention-interval");
  if (interval % args.block_size != 0)
    return invalid_argument(
        fmt::format("--prefix-cache-retention-interval {} must be a multiple of the block "
                    "size, {}",
                    interval, args.block_size),
        "prefix-cache-retention-interval");
  return {};
}

// The lines that scripts made for vLLM look for.
void log_memory(const EngineArgs& args, const Sizes& sizes, DType kv_dtype, std::size_t num_groups) {
  log_info("Available KV cache memory: {:.2f} GiB", static_cast<double>(sizes.memory.kv_bytes) / kGiB);
  log_info("CPU KV cache size: {} tokens, Maximum concurrency for {} tokens per request: {:.2f}x",
           with_commas(sizes.memory.num_tokens), with_commas(sizes.max_model_len),
           sizes.memory.max_concurrency);
  log_info("KV cache of {}: {} bytes per token", dtype_name(kv_dtype),
           with_commas(static_cast<int64_t>(sizes.memory.block_bytes * num_groups) / args.cache.block_size));
}

// The cache's pages are taken as its blocks are first used: too little memory would show only under load.
void warn_of_scarce_memory(uint64_t kv_bytes) {
  uint64_t available = available_memory_bytes();
  if (kv_bytes <= available) return;
  log_warning(
      "The KV cache may grow to {:.2f} GiB, but only {:.2f} GiB of memory are free now; under load the "
      "system "
      "may end this process. Use a smaller --gpu-memory-utilization, or --kv-cache-memory-bytes.",
      static_cast<double>(kv_bytes) / kGiB, static_cast<double>(available) / kGiB);
}

std::string names_of(std::span<const WeightFormat> formats) {
  std::string text;
  for (const WeightFormat& format : formats) text += (text.empty() ? "" : " and ") + format_name(format);
  return text;
}

WeightRecipe weight_recipe(const EngineArgs& args, const Source& source, const Sizes& sizes,
                           const CpuPlan& cpus) {
  return {.files = source.files,
          .spec = source.spec,
          .formats = source.formats,
          .max_model_len = sizes.max_model_len,
          .dummy = args.model.load_format == "dummy",
          .seed = args.model.seed,
          .packed_cache = args.model.packed_cache,
          .copy_packed = cpus.num_numa_nodes > 1};
}

void log_weights(const Source& source, std::size_t bytes, const ComputeStream& stream) {
  const std::string layers = names_of(source.used.layers), head = names_of(source.used.vocabulary);
  log_info("Loaded {} parameters as {}{} in {:.2f} GiB; {} kernels",
           with_commas(num_parameters(tensor_list(source.spec))), layers,
           head == layers ? "" : ", the head as " + head, static_cast<double>(bytes) / kGiB,
           stream.kernels_name());
}

Result<std::unique_ptr<ModelRunner>> load_runner(const EngineArgs& args, Source* source, const Sizes& sizes,
                                                 DType kv_dtype, const CpuPlan& cpus, OffloadConfig offload,
                                                 std::size_t* weight_bytes) {
  auto loader = std::make_shared<WeightLoader>(weight_recipe(args, *source, sizes, cpus));
  RunnerConfig config;
  config.sizes = {.max_num_seqs = sizes.max_num_seqs,
                  .max_num_batched_tokens = sizes.max_num_batched_tokens,
                  .block_size = static_cast<int32_t>(args.cache.block_size),
                  .num_blocks = sizes.memory.num_blocks,
                  .kv_dtype = kv_dtype};
  config.cpus = cpus;
  config.cpu_tune = {args.cpu.tune, args.model.packed_cache};
  config.offload = std::move(offload);
  config.load = [&](ComputeStream& stream) -> Result<std::unique_ptr<Decoder>> {
    PAGODA_TRY(std::unique_ptr<Decoder> decoder, loader->load(std::move(source->checkpoint), stream));
    *weight_bytes = decoder->weight_bytes();
    log_weights(*source, *weight_bytes, stream);
    return decoder;
  };
  config.reload = [loader](ComputeStream& stream) { return loader->load_again(stream); };
  return make_runner(std::move(config));
}

KvIdentity kv_identity(const EngineArgs& args, const Source& source, const Sizes& sizes, DType kv_dtype) {
  const std::string made_of = fmt::format("{}|{}|{}|{}", source.config, dtype_name(source.formats.dtype),
                                          sizes.max_model_len, source.checkpoint ? 0 : args.model.seed);
  return {.config = made_of,
          .checkpoint = source.checkpoint.get(),
          .model = &source.spec.config,
          .formats = source.used.all(),
          .kv_dtype = kv_dtype,
          .block_size = static_cast<int32_t>(args.cache.block_size)};
}

EngineConfig engine_config(const EngineArgs& args, const Sizes& sizes) {
  EngineConfig config;
  // What the runner has room for, unless fewer are to be let in or fewer tokens computed at once.
  auto at_most = [](int32_t most, int64_t wanted) {
    return wanted > 0 ? static_cast<int32_t>(std::min<int64_t>(most, wanted)) : most;
  };
  config.scheduler.max_num_seqs = at_most(sizes.max_num_seqs, args.scheduler.max_num_active_seqs);
  config.scheduler.max_num_batched_tokens =
      at_most(sizes.max_num_batched_tokens, args.scheduler.max_num_scheduled_tokens);
  config.scheduler.long_prefill_token_threshold_adaptive =
      args.scheduler.long_prefill_token_threshold_adaptive;
  config.scheduler.max_model_len = sizes.max_model_len;
  config.scheduler.long_prefill_token_threshold =
      static_cast<int32_t>(args.scheduler.long_prefill_token_threshold);
  config.scheduler.max_num_queued_reqs = static_cast<int32_t>(args.scheduler.max_num_queued_reqs);
  config.scheduler.max_num_queued_tokens = args.scheduler.max_num_queued_tokens;
  config.scheduler.policy = args.scheduler.policy;
  config.scheduler.enable_chunked_prefill = args.scheduler.enable_chunked_prefill;
  config.scheduler.size_chunks_by_time =
      args.scheduler.adaptive_chunks && args.scheduler.enable_chunked_prefill;
  config.scheduler.itl_slo_ms = args.scheduler.itl_slo_ms;
  config.scheduler.watermark = args.scheduler.watermark;
  config.scheduler.max_overtakes = static_cast<int32_t>(args.scheduler.max_overtakes);
  config.watchdog_timeout_s = args.observability.watchdog_timeout_s;
  config.log_stats = args.observability.log_stats;
  config.stats_interval_s = args.observability.stats_interval_s;
  return config;
}

// Windows stay out of the prefix cache where replaying them costs little beside what a hit saves.
int32_t replay_of(const CacheArgs& args, std::span<const KvGroupSpec> groups, int32_t max_model_len) {
  constexpr int64_t kMinShare = 8;  // of max_model_len
  const int64_t tokens = replay_tokens(groups);
  if (!args.enable_prefix_caching || !args.swa_bounded_replay || tokens == 0) return 0;
  if (tokens > max_model_len / kMinShare) {
    log_info("Sliding windows are in the prefix cache: to replay them would take {} tokens of a hit",
             with_commas(tokens));
    return 0;
  }
  log_info("Sliding windows are not in the prefix cache: a hit computes its last {} tokens again",
           with_commas(tokens));
  return static_cast<int32_t>(tokens);
}

PrefixCacheConfig prefix_cache_config(const EngineArgs& args) {
  PrefixCacheConfig config;
  config.enabled = args.cache.enable_prefix_caching;
  const std::string& algo = args.cache.prefix_caching_hash_algo;
  config.hash_algo = algo == "sha256"        ? BlockHashAlgo::kSha256
                     : algo == "sha256_cbor" ? BlockHashAlgo::kSha256Cbor
                                             : BlockHashAlgo::kXxhash;
  config.hash_seed = environment("PYTHONHASHSEED").value_or("");
  if (config.hash_seed == "random") config.hash_seed.clear();
  config.record_events = args.observability.kv_events.enabled;
  config.lifetime_sample = args.observability.kv_cache_metrics_sample;
  return config;
}

// A model without tokenizer.json serves token ids (dummy weights of any shape).
Result<TextAssets> text_of(const EngineArgs& args, const ModelFiles& files) {
  if (!args.model.tokenizer.empty()) {
    Result<ModelFiles> other = ModelFiles::open(args.model.tokenizer);
    if (!other.ok()) return std::move(other.status()).with_context("--tokenizer");
    return load_text_assets(*other, args.frontend.chat_template);
  }
  if (args.model.load_format == "dummy") {
    PAGODA_TRY(std::optional<std::string> json, files.read("tokenizer.json"));
    if (!json) return TextAssets();
  }
  return load_text_assets(files, args.frontend.chat_template);
}

}  // namespace

Result<std::unique_ptr<Assembly>> assemble(const EngineArgs& args) {
  PAGODA_RETURN_IF_ERROR(select_kernels(args.cpu.isa));
  PAGODA_TRY(CpuPlan cpus, plan_cpus(CpuTopology::of_this_process(),
                                     {args.cpu.list, static_cast<int>(args.cpu.num_threads)}));
  bind_other_threads(cpus.spare);  // the log's, which began before
  PAGODA_TRY(Source source, open_source(args.model));
  PAGODA_TRY(DType kv_dtype, parse_kv_dtype(args.cache.kv_cache_dtype, source.formats.dtype));
  PAGODA_RETURN_IF_ERROR(judge_prefix_cache(args.cache, source.spec.config));
  PAGODA_TRY(Sizes sizes, plan_sizes(args, source, kv_dtype));
  PAGODA_TRY(TextAssets text, text_of(args, source.files));

  auto assembly = std::make_unique<Assembly>();
  PAGODA_TRY(assembly->model,
             build_model_info(args, source.files, source.spec, std::move(text), sizes.max_model_len));
  log_info("{}", cpus.description());
  PrefixCacheConfig cache = prefix_cache_config(args);
  const std::vector<KvGroupSpec> groups =
      kv_groups(source.spec.config, kv_dtype, static_cast<int32_t>(args.cache.block_size));
  cache.replay_tokens = replay_of(args.cache, groups, sizes.max_model_len);
  PAGODA_TRY(OpenedOffload offload,
             open_offload(args.cache.offload, args.model.packed_cache,
                          kv_identity(args, source, sizes, kv_dtype), groups, cpus, &cache));
  assembly->engine_metrics = declare_metrics(
      &assembly->metrics, args,
      {assembly->model->served_names.front(), sizes.max_model_len, sizes.memory, cache, groups});
  PAGODA_TRY(auto kv_events,
             open_kv_events(args.observability.kv_events, cache, groups, cpus, *assembly->engine_metrics));
  PAGODA_TRY(auto runner, load_runner(args, &source, sizes, kv_dtype, cpus, std::move(offload.config),
                                      &assembly->weight_bytes));

  if (args.observability.log_stats) log_memory(args, sizes, kv_dtype, groups.size());
  warn_of_scarce_memory(sizes.memory.kv_bytes);
  CpuBinding off_the_compute_cores(cpus.spare);  // threads started from here on, but the engine's own
  assembly->cpus = std::move(cpus);
  auto kv = std::make_unique<KvManager>(groups, sizes.memory.num_blocks, cache);
  kv->adopt_offload_files(offload.files);
  assembly->engine = std::make_unique<Engine>(engine_config(args, sizes), std::move(kv), std::move(runner),
                                              assembly->engine_metrics.get(), std::move(kv_events));
  assembly->text_pool =
      std::make_unique<TaskPool>(static_cast<int>(args.frontend.num_text_threads),
                                 static_cast<std::size_t>(args.scheduler.max_num_queued_reqs));
  assembly->intake =
      std::make_unique<Intake>(assembly->model, assembly->engine.get(), assembly->text_pool.get());
  return assembly;
}

}  // namespace pagoda
