// Table: flags of `pagoda serve`: the cache, the scheduler, devices.
#include <limits>

#include "cli/flag_field.h"
#include "cli/serve_args.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

#define FIELD(path, ...) field([](ServeArgs & args) -> auto& { return args.path; } __VA_OPT__(, ) __VA_ARGS__)
constexpr int64_t kMany = 1 << 24;

constexpr const char* kCache = "CacheConfig";
constexpr const char* kOffload = "OffloadConfig";
constexpr const char* kMamba = "MambaConfig";
constexpr const char* kSched = "SchedulerConfig";
constexpr const char* kParallel = "ParallelConfig";
constexpr const char* kObserve = "ObservabilityConfig";
constexpr const char* kKernel = "KernelConfig";
constexpr const char* kOther = "VllmConfig";

constexpr FlagSpec kTable[] = {
    flag("block-size", kCache, FIELD(engine.cache.block_size, between(1, 1024)),
         "Tokens per block of the KV cache."),
    flag("gpu-memory-utilization", kCache, FIELD(engine.cache.gpu_memory_utilization),
         "Share of the usable memory (cgroup limits respected) for weights and KV cache.",
         {.alias = "device-memory-utilization"}),
    flag("kv-cache-memory-bytes", kCache,
         FIELD(engine.cache.kv_cache_memory_bytes, between(1, std::numeric_limits<int64_t>::max())),
         "Bytes of the KV cache; overrides --gpu-memory-utilization."),
    flag(
        "kv-cache-dtype", kCache, FIELD(engine.cache.kv_cache_dtype),
        "auto (the model's), float32, bfloat16, float16; with a scale per token and head: int8, fp8 (e4m3)."),
    {"kv-cache-dtype-skip-layers", "", kCache, kList, "", "Layers not quantized.", kLater},
    flag("num-gpu-blocks-override", kCache, FIELD(engine.cache.num_gpu_blocks_override, between(2, 1 << 30)),
         "Blocks of the KV cache, whatever the memory."),
    flag("enable-prefix-caching", kCache, FIELD(engine.cache.prefix_cache.enabled),
         "Reuse the KV of prompts' common beginnings."),
    flag("prefix-caching-hash-algo", kCache, FIELD(engine.cache.prefix_cache.hash_algo),
         "Names of cached blocks; sha256_cbor's are vLLM's (PYTHONHASHSEED makes them common to several "
         "servers), xxhash compares tokens too."),
    {"kv-offloading-size", "", kCache, kFloat, "off",
     "GiB of memory beside the KV cache for blocks that leave it; they come back by prefix."},
    {"kv-offloading-backend", "", kCache, kString, "native", "What keeps the blocks.", kWorks,
     "native, lmcache"},
    flag("kv-offloading-path", kCache, FIELD(engine.cache.offload.path),
         "Folder behind that memory: what has been computed is found again after a restart."),
    {"kv-offloading-disk-size", "", kCache, kFloat, "four times the memory", "GiB that the folder may take."},
    {"kv-sharing-fast-prefill", "", kCache, kBool, "off", "Prefill of models that share KV.", kLater},
    {"mamba-cache-dtype", "", kCache, kString, "auto", "State-space models.", kLater,
     "auto, bfloat16, float16, float32"},
    {"mamba-ssm-cache-dtype", "", kCache, kString, "auto", "State-space models.", kLater,
     "auto, bfloat16, float16, float32"},
    {"mamba-cache-mode", "", kCache, kString, "none", "State-space models.", kLater, "align, none"},
    {"swap-space", "", kCache, kFloat, "0", "Preempted requests are recomputed, never swapped.", kForeign},
    {"calculate-kv-scales", "", kCache, kBool, "off", "Scales of a quantized KV cache.", kLater},
    flag("prefix-cache-retention-interval", kCache,
         FIELD(engine.cache.prefix_cache_retention_interval, between(0, kMany)),
         "Tokens between the checkpoints of sliding windows that the prefix cache keeps; all are kept."),
    flag("swa-bounded-replay", kCache, FIELD(engine.cache.swa_bounded_replay),
         "Keep sliding windows out of the prefix cache where a hit can bring them back by computing few of "
         "its "
         "last tokens again."),
    {"mamba-block-size", "", kCache, kInt, "", "State-space models.", kLater},
    flag("prefix-match-unit", kCache, FIELD(engine.cache.prefix_match_unit, between(1, kMany)),
         "Tokens that a match of the prefix cache is a multiple of: the block size, or an error.",
         {.default_text = "the block size"}),
    {"enable-mamba-shared-prefix-checkpoint", "", kCache, kBool, "off", "State-space models.", kLater},
    {"replayssm-buffer-len", "", kCache, kInt, "16", "State-space models.", kLater},
    {"use-replayssm", "", kCache, kBool, "off", "State-space models.", kLater},

    {"cpu-offload-gb", "", kOffload, kFloat, "0", "Weights in host memory.", kForeign},
    {"offload-backend", "", kOffload, kString, "auto", "Backend of the weight offload.", kForeign,
     "auto, prefetch, uva"},
    {"cpu-offload-params", "", kOffload, kList, "", "Parameters in host memory.", kForeign},
    {"offload-group-size", "", kOffload, kInt, "0", "Layers of an offload group.", kForeign},
    {"offload-num-in-group", "", kOffload, kInt, "1", "Layers offloaded of each.", kForeign},
    {"offload-prefetch-step", "", kOffload, kInt, "1", "Layers fetched ahead.", kForeign},
    {"offload-params", "", kOffload, kList, "", "Parameters that are offloaded.", kForeign},

    {"mamba-backend", "", kMamba, kString, "triton", "State-space models.", kForeign},
    {"mamba-ssu-algorithm", "", kMamba, kString, "", "State-space models.", kForeign,
     "auto, horizontal, simple, vertical"},
    {"enable-mamba-cache-stochastic-rounding", "", kMamba, kBool, "off", "State-space models.", kForeign},
    {"mamba-cache-philox-rounds", "", kMamba, kInt, "0", "State-space models.", kForeign},

    flag("max-num-batched-tokens", kSched,
         FIELD(engine.config.scheduler.max_num_batched_tokens, between(1, kMany)),
         "Tokens per step: a prompt is computed in chunks of at most that many, beside what decodes."),
    flag("max-num-seqs", kSched, FIELD(engine.config.scheduler.max_num_seqs, between(1, 65536)),
         "Sequences that run at once."),
    flag("max-num-queued-reqs", kSched, FIELD(engine.config.scheduler.max_num_queued_reqs, between(1, kMany)),
         "Choices waiting or running; more are refused with 503 and Retry-After."),
    flag("max-num-queued-tokens", kSched,
         FIELD(engine.config.scheduler.max_num_queued_tokens, between(1, int64_t{1} << 40)),
         "Prompt tokens of requests waiting or running; more are refused with 503 and Retry-After.",
         {.default_text = "no bound"}),
    flag("long-prefill-token-threshold", kSched,
         FIELD(engine.config.scheduler.long_prefill_token_threshold, between(0, kMany)),
         "Most tokens of one prompt per step; 0: no limit."),
    flag("enable-chunked-prefill", kSched, FIELD(engine.config.scheduler.enable_chunked_prefill),
         "Compute prompts in chunks beside the decodes; off: each in one step."),
    flag("scheduling-policy", kSched, FIELD(engine.config.scheduler.policy),
         "priority: requests say `priority`, lower first; fair: the client served least goes first."),
    {"scheduler-cls", "", kSched, kString, "", "Python scheduler class.", kForeign},
    {"scheduler-reserve-full-isl", "", kSched, kBool, "on",
     "Admit only when the whole prompt fits; always so.", kForeign},
    flag("watermark", kSched, FIELD(engine.config.scheduler.watermark),
         "Share of the blocks that admission leaves free while any sequence runs: less preemption."),
    {"prefill-schedule-interval", "", kSched, kInt, "1", "Steps between prefills, where replicas go in step.",
     kLater},
    {"async-scheduling", "", kSched, kBool, "auto",
     "Plan the next step while one runs; auto: where the device computes meanwhile, which a CPU does not."},
    flag("stream-interval", kSched, FIELD(api.stream_interval, between(1, 1 << 24)),
         "Tokens per stream chunk; the first and the last are sent at once."),
    {"disable-hybrid-kv-cache-manager", "", kSched, kBool, "off", "One table for all attention kinds.",
     kForeign},
    {"disable-chunked-mm-input", "", kSched, kBool, "off", "Multimodal inputs.", kLater},
    {"max-num-partial-prefills", "", kSched, kInt, "1", "Prompts computed in part at once.", kLater},
    {"max-long-partial-prefills", "", kSched, kInt, "1", "Long prompts computed in part at once.", kLater},
    flag("max-num-scheduled-tokens", kSched,
         FIELD(engine.step_limits.max_num_scheduled_tokens, between(1, kMany)),
         "Tokens that one step computes; memory is laid out for --max-num-batched-tokens.",
         {.default_text = "--max-num-batched-tokens"}),
    flag("max-num-active-seqs", kSched, FIELD(engine.step_limits.max_num_active_seqs, between(1, kMany)),
         "Sequences that run at once; memory is laid out for --max-num-seqs.",
         {.default_text = "--max-num-seqs"}),
    flag("long-prefill-token-threshold-adaptive", kSched,
         FIELD(engine.config.scheduler.long_prefill_token_threshold_adaptive),
         "Raise --long-prefill-token-threshold to a step's share for each running or waiting sequence."),

    {"tensor-parallel-size", "tp", kParallel, kInt, "1", "Devices that share every layer.", kLater},
    {"pipeline-parallel-size", "pp", kParallel, kInt, "1", "Devices that share the layers.", kLater},
    {"data-parallel-size", "dp", kParallel, kInt, "1", "Replicas.", kLater},
    {"decode-context-parallel-size", "dcp", kParallel, kInt, "1", "Devices that share a context.", kLater},
    {"prefill-context-parallel-size", "pcp", kParallel, kInt, "1", "Devices that share a prompt.", kLater},
    {"distributed-executor-backend", "", kParallel, kString, "", "mp, ray.", kLater},
    {"data-parallel-rank", "dpn", kParallel, kInt, "", "Rank among replicas.", kLater},
    {"data-parallel-start-rank", "dpr", kParallel, kInt, "", "First rank here.", kLater},
    {"data-parallel-size-local", "dpl", kParallel, kInt, "", "Replicas here.", kLater},
    {"data-parallel-address", "dpa", kParallel, kString, "", "Address of rank 0.", kLater},
    {"data-parallel-rpc-port", "dpp", kParallel, kInt, "", "Port of rank 0.", kLater},
    {"data-parallel-backend", "dpb", kParallel, kString, "mp", "mp, ray.", kLater},
    {"data-parallel-hybrid-lb", "dph", kParallel, kBool, "off", "Load balancing per node.", kLater},
    {"data-parallel-external-lb", "dpe", kParallel, kBool, "off", "Load balancing outside.", kLater},
    {"enable-expert-parallel", "ep", kParallel, kBool, "off", "Experts spread over devices.", kLater},
    {"all2all-backend", "", kParallel, kString, "", "Exchange between experts.", kLater,
     "allgather_reducescatter, deepep_high_throughput, deepep_low_latency, deepep_v2, flashinfer_all2allv, "
     "flashinfer_nvlink_one_sided, flashinfer_nvlink_two_sided, moonep, mori_high_throughput, "
     "mori_low_latency, naive, nixl_ep, pplx"},
    {"enable-eplb", "", kParallel, kBool, "off", "Balance experts.", kLater},
    {"expert-placement-strategy", "", kParallel, kString, "linear", "Where experts go.", kLater,
     "linear, round_robin"},
    {"enable-dbo", "", kParallel, kBool, "off", "Two batches that overlap.", kLater},
    {"enable-elastic-ep", "", kParallel, kBool, "off", "Grow and shrink the experts' group.", kLater},
    {"distributed-timeout-seconds", "", kParallel, kInt, "", "Timeout of other ranks.", kLater},
    {"numa-bind", "", kParallel, kBool, "off", "Bind workers to NUMA nodes.", kLater},
    {"device-ids", "", kParallel, kString, "", "Devices to use.", kForeign},
    {"disable-custom-all-reduce", "", kParallel, kBool, "off", "NCCL only.", kForeign},
    {"master-addr", "", kParallel, kString, "127.0.0.1", "Address of the first node.", kLater},
    {"master-port", "", kParallel, kInt, "29501", "Port of the first node.", kLater},
    {"nnodes", "n", kParallel, kInt, "1", "Nodes.", kLater},
    {"node-rank", "r", kParallel, kInt, "0", "Rank of this node.", kLater},
    {"max-parallel-loading-workers", "", kParallel, kInt, "", "Loaders at once.", kForeign},
    {"worker-cls", "", kParallel, kString, "auto", "Python worker class.", kForeign},
    {"cpu-distributed-timeout-seconds", "", kParallel, kInt, "", "Timeout of other ranks on CPUs.", kLater},
    {"numa-bind-nodes", "", kParallel, kIntList, "", "NUMA node of each worker.", kLater},
    {"numa-bind-cpus", "", kParallel, kList, "", "CPUs of each worker.", kLater},
    {"dcp-comm-backend", "", kParallel, kString, "", "Exchange between devices that share a context.", kLater,
     "a2a, ag_rs"},
    {"dcp-q-replicate", "", kParallel, kBool, "", "Queries on every such device.", kLater},
    {"dcp-kv-cache-interleave-size", "", kParallel, kInt, "1", "Tokens in a row on one such device.", kLater},
    {"cp-kv-cache-interleave-size", "", kParallel, kInt, "", "The same, for prompts too.", kLater},
    {"data-parallel-multi-port-external-lb", "dpm", kParallel, kBool, "off",
     "Load balancing outside, a port per replica.", kLater},
    {"enable-hc-sp", "", kParallel, kBool, "off", "Sequence parallelism of hyper-connections.", kLater},
    {"enable-batch-sharded-sampling", "", kParallel, kBool, "", "Devices sample parts of the batch.", kLater},
    {"enable-ep-weight-filter", "", kParallel, kBool, "off", "Read only the experts of this device.", kLater},
    {"enable-shm-tensor-arena", "", kParallel, kBool, "off", "Tensors between processes in shared memory.",
     kForeign},
    {"ubatch-size", "", kParallel, kInt, "0", "Micro batches.", kLater},
    {"elastic-ep-max-dp-size", "", kParallel, kInt, "", "Most replicas of an elastic group.", kLater},
    {"dbo-decode-token-threshold", "", kParallel, kInt, "32", "Decodes from which two batches overlap.",
     kLater},
    {"dbo-prefill-token-threshold", "", kParallel, kInt, "512", "Prompt tokens from which they do.", kLater},
    {"dp-sync-interval", "", kParallel, kInt, "16", "Steps between synchronisations of replicas.", kLater},
    {"disable-nccl-for-dp-synchronization", "", kParallel, kBool, "", "Replicas synchronise through Gloo.",
     kForeign},
    {"eplb-config", "", kParallel, kJson, "", "Balance of experts.", kLater},
    {"ray-workers-use-nsight", "", kParallel, kBool, "off", "Profiler of Ray's workers.", kForeign},
    {"worker-extension-cls", "", kParallel, kString, "", "Python extension of the worker.", kForeign},
    {"enable-fault-tolerance", "", kParallel, kBool, "off", "Restart engines that fail.", kLater},
    {"fault-tolerance-config", "", kParallel, kJson, "", "How.", kLater},

    {"otlp-traces-endpoint", "", kObserve, kString, "", "OpenTelemetry collector.", kLater},
    {"collect-detailed-traces", "", kObserve, kList, "", "Modules to trace.", kLater, "all, model, worker"},
    {"show-hidden-metrics-for-version", "", kObserve, kString, "", "Metrics hidden since a version.",
     kForeign},
    {"kv-cache-metrics", "", kObserve, kBool, "off",
     "Histograms of how long blocks of the KV cache live, are idle, and come back to use."},
    {"kv-cache-metrics-sample", "", kObserve, kFloat, "0.01", "Share of the blocks that they tell of."},
    {"cudagraph-metrics", "", kObserve, kBool, "off", "CUDA graphs.", kForeign},
    {"enable-layerwise-nvtx-tracing", "", kObserve, kBool, "off", "NVTX ranges.", kForeign},
    {"enable-logging-iteration-details", "", kObserve, kBool, "off", "A line per step.", kLater},
    {"per-request-spec-decode-metrics", "", kObserve, kString, "none", "Speculation in answers.", kLater,
     "detailed, none, summary"},
    {"enable-mfu-metrics", "", kObserve, kBool, "off", "Arithmetic per device.", kLater},
    {"custom-histogram-buckets", "", kObserve, kJson, "",
     "Bounds of histograms by family, as {\"request_latency\": [0.5, 1, 5]}."},
    {"jit-monitor-mode", "", kObserve, kString, "warn", "Compilation while serving.", kForeign,
     "error, warn"},
    {"jit-monitor-verbose", "", kObserve, kBool, "off", "Tell more of it.", kForeign},

    {"moe-backend", "", kKernel, kString, "auto", "Expert kernels of CUDA.", kForeign,
     "aiter, aiter_mega_moe, aiter_triton_mxfp4_bf16, auto, b12x, batched_triton, cutlass, deep_gemm, "
     "deep_gemm_mega_moe, emulation, flashinfer_b12x, flashinfer_cutedsl, flashinfer_cutlass, "
     "flashinfer_moe_ep_cutedsl, flashinfer_moe_ep_mega_deep_gemm, flashinfer_trtllm, flydsl, hpc, humming, "
     "marlin, rdna3, triton, triton_unfused"},
    {"ir-op-priority", "", kKernel, kJson, "", "Kernels by op.", kForeign},
    {"enable-flashinfer-autotune", "", kKernel, kBool, "", "Tune CUDA kernels.", kForeign},
    {"linear-backend", "", kKernel, kString, "auto", "Matrix kernels of CUDA.", kForeign,
     "aiter, auto, b12x, conch, cutlass, deep_gemm, emulation, exllama, fbgemm, flashinfer_b12x, "
     "flashinfer_cudnn, flashinfer_cutedsl, flashinfer_cutlass, flashinfer_trtllm, humming, machete, marlin, "
     "torch, triton, xpu, xpu_woq"},
    {"sparse-indexer-topk-backend", "", kKernel, kString, "auto", "Kernels of sparse attention.", kForeign,
     "aiter, auto, cooperative, deep_select, flashinfer, per_row, persistent, torch"},

    {"compilation-config", "cc", kOther, kJson, "", "torch.compile.", kForeign},
    {"optimization-level", "O", kOther, kString, "2", "torch.compile.", kForeign},
    {"cudagraph-capture-sizes", "", kOther, kIntList, "", "CUDA graphs.", kForeign},
    {"max-cudagraph-capture-size", "", kOther, kInt, "", "CUDA graphs.", kForeign},
    {"attention-backend", "", kOther, kString, "", "Attention kernels of CUDA.", kForeign},
    {"performance-mode", "", kOther, kString, "balanced", "What to tune for.", kLater,
     "balanced, interactivity, throughput"},
    {"kv-transfer-config", "", kOther, kJson, "", "KV transfer between instances.", kLater},
    {"kv-events-config", "", kOther, kJson, "",
     "Tells routers over ZeroMQ what the prefix cache holds, as vLLM does: {\"enable_kv_cache_events\": "
     "true, \"endpoint\": \"tcp://*:5557\", \"replay_endpoint\", \"buffer_steps\", \"hwm\", "
     "\"max_queue_size\", \"topic\", \"publisher\", \"encoding\"}."},
    {"ec-transfer-config", "", kOther, kJson, "", "Encoder cache between instances.", kLater},
    {"weight-transfer-config", "", kOther, kJson, "", "Weights between instances.", kLater},
    {"profiler-config", "", kOther, kJson, "", "Profiler.", kLater},
    {"fail-on-environ-validation", "", kOther, kBool, "off", "Refuse unknown VLLM_ variables."},
    {"additional-config", "", kOther, kJson, "", "Options of other platforms.", kForeign},
    {"watermark-config", "", kOther, kJson, "", "Watermarks in answers.", kLater},
    {"diffusion-config", "dc", kOther, kJson, "", "Diffusion language models.", kLater},
    {"ec-manager-config", "", kOther, kJson, "", "Cache of encoders.", kLater},
    {"attention-config", "ac", kOther, kJson, "", "Attention kernels of CUDA.", kForeign},
    {"engram-config", "", kOther, kJson, "", "Engram memories.", kLater},
    {"kernel-config", "", kOther, kJson, "", "CUDA kernels.", kForeign},
    {"aux-output-config", "", kOther, kJson, "", "Further outputs of the model.", kLater},
};

}  // namespace

std::span<const FlagSpec> engine_flag_table() {
  return kTable;
}

}  // namespace pagoda
