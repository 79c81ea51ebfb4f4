#include "assembly/assemble.h"

#include <algorithm>

#include "assembly/kv_offload.h"
#include "assembly/model_info_builder.h"
#include "assembly/model_source.h"
#include "assembly/observability.h"
#include "assembly/size_plan.h"
#include "assembly/text_assets.h"
#include "assembly/weight_loader.h"
#include "base/env.h"
#include "base/log.h"
#include "model/kv_groups.h"
#include "model/tensor_list.h"
#include "runner/make_runner.h"

namespace pagoda {
namespace {

constexpr double kGiB = 1024. * 1024 * 1024;

std::string names_of(std::span<const WeightFormat> formats) {
  std::string text;
  for (const WeightFormat& format : formats) text += (text.empty() ? "" : " and ") + format_name(format);
  return text;
}

WeightRecipe weight_recipe(const EngineArgs& args, const ModelSource& source, const SizePlan& sizes,
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

void log_weights(const ModelSource& source, std::size_t bytes, const ComputeStream& stream) {
  const std::string layers = names_of(source.used.layers), head = names_of(source.used.vocabulary);
  log_info("Loaded {} parameters as {}{} in {:.2f} GiB; {} kernels",
           with_commas(num_parameters(tensor_list(source.spec))), layers,
           head == layers ? "" : ", the head as " + head, static_cast<double>(bytes) / kGiB,
           stream.kernels_name());
}

Result<std::unique_ptr<ModelRunner>> load_runner(const EngineArgs& args, ModelSource* source,
                                                 const SizePlan& sizes, const CpuPlan& cpus,
                                                 OffloadConfig offload, std::size_t* weight_bytes) {
  auto loader = std::make_shared<WeightLoader>(weight_recipe(args, *source, sizes, cpus));
  RunnerConfig config;
  config.sizes = {.max_num_seqs = sizes.max_num_seqs,
                  .max_num_batched_tokens = sizes.max_num_batched_tokens,
                  .block_size = sizes.block_size,
                  .num_blocks = sizes.memory.num_blocks,
                  .kv_dtype = sizes.kv_dtype};
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

KvIdentity kv_identity(const EngineArgs& args, const ModelSource& source, const SizePlan& sizes) {
  const std::string made_of = fmt::format("{}|{}|{}|{}", source.config, dtype_name(source.formats.dtype),
                                          sizes.max_model_len, source.checkpoint ? 0 : args.model.seed);
  return {.config = made_of,
          .checkpoint = source.checkpoint.get(),
          .model = &source.spec.config,
          .formats = source.used.all(),
          .kv_dtype = sizes.kv_dtype,
          .block_size = sizes.block_size};
}

EngineConfig engine_config(const EngineArgs& args, const SizePlan& sizes) {
  EngineConfig config = args.config;
  SchedulerConfig& scheduler = config.scheduler;
  // What the runner has room for, unless fewer are to be admitted or fewer tokens computed at once.
  auto at_most = [](int32_t most, int64_t wanted) {
    return wanted > 0 ? static_cast<int32_t>(std::min<int64_t>(most, wanted)) : most;
  };
  scheduler.max_num_seqs = at_most(sizes.max_num_seqs, args.step_limits.max_num_active_seqs);
  scheduler.max_num_batched_tokens =
      at_most(sizes.max_num_batched_tokens, args.step_limits.max_num_scheduled_tokens);
  scheduler.max_model_len = sizes.max_model_len;
  scheduler.adaptive_chunks = scheduler.adaptive_chunks && scheduler.enable_chunked_prefill;
  if (scheduler.max_in_flight > 1) log_info("Asynchronous scheduling is enabled.");
  return config;
}

// Windows stay out of the prefix cache where replaying them costs little beside what a hit saves.
int32_t replay_of(const CacheArgs& args, std::span<const KvGroupSpec> groups, int32_t max_model_len) {
  constexpr int64_t kMinShare = 8;  // of max_model_len
  const int64_t tokens = replay_tokens(groups);
  if (!args.prefix_cache.enabled || !args.swa_bounded_replay || tokens == 0) return 0;
  if (tokens > max_model_len / kMinShare) {
    log_info("Sliding windows are in the prefix cache: to replay them would take {} tokens of a hit",
             with_commas(tokens));
    return 0;
  }
  log_info("Sliding windows are not in the prefix cache: a hit computes its last {} tokens again",
           with_commas(tokens));
  return static_cast<int32_t>(tokens);
}

PrefixCacheConfig prefix_cache_config(const EngineArgs& args, const SizePlan& sizes) {
  PrefixCacheConfig config = args.cache.prefix_cache;
  config.hash_seed = environment("PYTHONHASHSEED").value_or("");
  if (config.hash_seed == "random") config.hash_seed.clear();
  config.record_events = args.observability.kv_events.enabled;
  config.replay_tokens = replay_of(args.cache, sizes.groups, sizes.max_model_len);
  if (config.replay_tokens > 0 && args.cache.prefix_cache_retention_interval > 0)
    log_warning(
        "--prefix-cache-retention-interval has no effect: sliding windows are not in the prefix cache "
        "(--no-swa-bounded-replay would keep them there)");
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

  PAGODA_TRY(ModelSource source, open_model(args.model));
  PAGODA_TRY(const SizePlan sizes, plan_sizes(args, source));
  PAGODA_TRY(TextAssets text, text_of(args, source.files));
  auto assembly = std::make_unique<Assembly>();
  PAGODA_TRY(assembly->model,
             build_model_info(args, source.files, source.spec, std::move(text), sizes.max_model_len));
  log_info("{}", cpus.description());

  PrefixCacheConfig cache = prefix_cache_config(args, sizes);
  PAGODA_TRY(OpenedOffload offload,
             open_offload(args.cache.offload, args.model.packed_cache, kv_identity(args, source, sizes),
                          sizes.groups, cpus, &cache));
  assembly->engine_metrics = declare_metrics(
      &assembly->metrics, args,
      {assembly->model->served_names.front(), sizes.max_model_len, sizes.memory, cache, sizes.groups});
  PAGODA_TRY(auto kv_events, open_kv_events(args.observability.kv_events, cache, sizes.groups, cpus,
                                            *assembly->engine_metrics));
  PAGODA_TRY(auto runner,
             load_runner(args, &source, sizes, cpus, std::move(offload.config), &assembly->weight_bytes));
  if (args.config.log_stats) log_memory(sizes);
  warn_of_scarce_memory(sizes);

  CpuBinding off_the_compute_cores(cpus.spare);  // threads started from here on, but the engine's own
  assembly->cpus = std::move(cpus);
  auto kv = std::make_unique<KvManager>(sizes.groups, sizes.memory.num_blocks, cache);
  kv->adopt_offload_files(offload.files);
  assembly->engine = std::make_unique<Engine>(engine_config(args, sizes), std::move(kv), std::move(runner),
                                              assembly->engine_metrics.get(), std::move(kv_events));
  assembly->text_pool =
      std::make_unique<TaskPool>(static_cast<int>(args.frontend.num_text_threads),
                                 static_cast<std::size_t>(args.config.scheduler.max_num_queued_reqs));
  assembly->intake =
      std::make_unique<Intake>(assembly->model, assembly->engine.get(), assembly->text_pool.get());
  return assembly;
}

}  // namespace pagoda
