// Table: flags of `pagoda serve`: the model and its files.
#include "cli/flag_field.h"
#include "cli/serve_args.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

using enum FlagKind;
using enum FlagState;

#define FIELD(path, ...) field([](ServeArgs & args) -> auto& { return args.path; } __VA_OPT__(, ) __VA_ARGS__)
constexpr int64_t kMany = 1 << 24;

constexpr const char* kModel = "ModelConfig";
constexpr const char* kLoad = "LoadConfig";
constexpr const char* kLora = "LoRAConfig";
constexpr const char* kMulti = "MultiModalConfig";
constexpr const char* kSpec = "SpeculativeConfig";
constexpr const char* kStructured = "StructuredOutputsConfig";

constexpr FlagSpec kTable[] = {
    {"model", "", kModel, kString, "the built-in demo model",
     "Model folder; usually given without the flag."},
    {"runner", "", kModel, kString, "auto", "Kind of model runner.", kLater,
     "auto, draft, generate, pooling"},
    {"convert", "", kModel, kString, "auto", "Conversion of the model for pooling.", kLater,
     "auto, classify, embed, none"},
    flag("tokenizer", kModel, FIELD(engine.model.tokenizer), "Folder or tokenizer.json of another tokenizer.",
         {.default_text = "the model's"}),
    {"tokenizer-mode", "", kModel, kString, "auto", "slow, mistral, custom.", kForeign},
    {"trust-remote-code", "", kModel, kBool, "off", "Python code of the checkpoint; none is ever run here.",
     kForeign},
    flag("dtype", kModel, FIELD(engine.model.dtype),
         "Type of the weights; auto: what config.json names, never wider than the checkpoint.",
         {.choices = "auto, float32, float, bfloat16, float16, half"}),
    flag("seed", kModel, FIELD(engine.model.seed), "Seed of dummy weights."),
    {"revision", "", kModel, kString, "", "Revision on the hub.", kLater},
    {"code-revision", "", kModel, kString, "", "Revision of remote code.", kForeign},
    {"tokenizer-revision", "", kModel, kString, "", "Revision of the tokenizer on the hub.", kLater},
    flag("hf-config", kModel, FIELD(engine.model.hf_config), "config.json to use with --load-format dummy."),
    {"hf-config-path", "", kModel, kString, "", "Folder of another config.json."},
    {"hf-token", "", kModel, kString, "", "Token of the hub.", kLater},
    flag("hf-overrides", kModel, FIELD(engine.model.hf_overrides), "JSON merged into config.json.",
         {.default_text = "{}"}),
    {"config-format", "", kModel, kString, "auto", "hf, mistral.", kLater},
    flag("max-model-len", kModel, FIELD(engine.model.max_model_len, between(-1, kMany)),
         "Longest sequence; auto or -1: the longest that fits.",
         {.default_text = "from config.json", .kind = kIntOrAuto}),
    flag("quantization", kModel, FIELD(engine.model.quantization),
         "Quantize the weights while they are loaded: int8, int4, int4-g32, int4-zp, int4-g32-zp.",
         {.default_text = "none", .short_name = "q"}),
    {"allow-deprecated-quantization", "", kModel, kBool, "off", "Accept old schemes.", kLater},
    {"enforce-eager", "", kModel, kBool, "off", "No CUDA graphs.", kForeign},
    flag("max-logprobs", kModel, FIELD(engine.frontend.max_logprobs, between(-1, kMany)),
         "Most log-probabilities per token; -1: the vocabulary."),
    {"logprobs-mode", "", kModel, kString, "raw_logprobs", "What logprobs mean; only raw_logprobs is built.",
     kLater, "processed_logits, processed_logprobs, raw_logits, raw_logprobs"},
    {"disable-sliding-window", "", kModel, kBool, "off", "Cap the context at the window.", kLater},
    {"disable-cascade-attn", "", kModel, kBool, "off", "No cascade attention.", kForeign},
    {"skip-tokenizer-init", "", kModel, kBool, "off", "No tokenizer; token-id prompts only.", kLater},
    {"enable-prompt-embeds", "", kModel, kBool, "off", "Prompts as embeddings.", kLater},
    flag("served-model-name", kModel, FIELD(engine.frontend.served_names),
         "Names that requests may use; the first appears in answers.", {.default_text = "the model"}),
    flag("generation-config", kModel, FIELD(engine.frontend.generation_config),
         "Sampling defaults: auto (the model's), vllm (none), or a folder."),
    flag("override-generation-config", kModel, FIELD(engine.frontend.override_generation_config),
         "JSON merged over the sampling defaults.", {.default_text = "{}"}),
    {"enable-sleep-mode", "", kModel, kBool, "off",
     "Any server can sleep; POST /sleep and /wake_up need VLLM_SERVER_DEV_MODE=1 or --api-key."},
    {"model-impl", "", kModel, kString, "auto", "vllm, transformers.", kForeign},
    {"logits-processors", "", kModel, kList, "", "Python logits processors.", kForeign},
    {"allowed-local-media-path", "", kModel, kString, "", "Local media of multimodal models.", kLater},
    {"allowed-media-domains", "", kModel, kList, "", "Media hosts of multimodal models.", kLater},
    flag("renderer-num-workers", kModel, FIELD(engine.frontend.num_text_threads, between(1, 256)),
         "Threads that render templates and tokenize."),
    {"quantization-config", "", kModel, kJson, "", "Options of a quantization scheme.", kLater},
    {"enable-return-routed-experts", "", kModel, kBool, "off", "Which experts a token went to, in answers.",
     kLater},
    {"return-sampling-mask", "", kModel, kBool, "off", "Which tokens the filters left, in answers.", kLater},
    {"use-fp64-gumbel", "", kModel, kBool, "off", "Sampling noise in double precision.", kLater},
    {"enable-trace-replay", "", kModel, kBool, "off", "Replay of recorded answers.", kLater},
    {"model-class-overrides", "", kModel, kJson, "{}", "Python classes of models.", kForeign},
    {"pooler-config", "", kModel, kJson, "", "Pooling models.", kLater},
    {"sleep-mode-offload-cudagraph", "", kModel, kBool, "off", "CUDA graphs of a sleeper.", kForeign},
    {"sleep-preserve-parameter-names", "", kModel, kList, "", "Parameters that a sleeper keeps.", kLater},
    {"enable-cumem-allocator", "", kModel, kBool, "off", "CUDA allocator that can give memory back.",
     kForeign},
    {"enable-nccl-comm-suspend", "", kModel, kBool, "off", "NCCL of a sleeper.", kForeign},
    {"io-processor-plugin", "", kModel, kString, "", "Python plugin.", kForeign},

    flag("load-format", kLoad, FIELD(engine.model.load_format),
         "auto, safetensors, or dummy (random weights, for benchmarks)."),
    {"download-dir", "", kLoad, kString, "", "Cache of the hub.", kLater},
    {"safetensors-load-strategy", "", kLoad, kString, "lazy", "How files are read.", kForeign,
     "eager, lazy, prefetch, torchao"},
    {"model-loader-extra-config", "", kLoad, kJson, "{}", "Options of other loaders.", kForeign},
    {"ignore-patterns", "", kLoad, kList, "", "Files not to download.", kLater},
    {"use-tqdm-on-load", "", kLoad, kBool, "on", "Progress bar.", kForeign},
    {"pt-load-map-location", "", kLoad, kString, "cpu", "Where pickles go.", kForeign},
    {"safetensors-prefetch-num-threads", "", kLoad, kInt, "8", "Threads that read files ahead.", kForeign},
    {"safetensors-prefetch-block-size", "", kLoad, kInt, "16777216", "Bytes that they read at a time.",
     kForeign},

    {"enable-lora", "", kLora, kBool, "off", "LoRA adapters per request.", kLater},
    {"lora-modules", "", kLora, kList, "", "Adapters: name=path.", kLater},
    {"max-loras", "", kLora, kInt, "1", "Adapters per batch.", kLater},
    {"max-lora-rank", "", kLora, kInt, "16", "Largest rank.", kLater, "1, 8, 16, 32, 64, 128, 256, 320, 512"},
    {"max-cpu-loras", "", kLora, kInt, "", "Adapters in memory.", kLater},
    {"lora-dtype", "", kLora, kString, "auto", "Type of the adapters.", kLater, "auto, bfloat16, float16"},
    {"lora-target-modules", "", kLora, kList, "", "Modules that adapters may change.", kLater},
    {"default-mm-loras", "", kLora, kJson, "", "Adapters by modality.", kLater},
    {"specialize-active-lora", "", kLora, kBool, "off", "Kernels by the number of adapters.", kForeign},
    {"fully-sharded-loras", "", kLora, kBool, "off", "Shard both matrices.", kLater},
    {"enable-tower-connector-lora", "", kLora, kBool, "off", "Adapters of encoders.", kLater},
    {"enable-mixed-moe-lora-format", "", kLora, kBool, "off", "Adapters of experts in both formats.", kLater},
    {"enable-moe-shared-loras", "", kLora, kBool, "off", "Adapters that experts share.", kLater},
    {"max-lora-cls-labels", "", kLora, kInt, "", "Labels of classifying adapters.", kLater},

    {"limit-mm-per-prompt", "", kMulti, kJson, "{}", "Multimodal limits.", kLater},
    {"mm-processor-cache-gb", "", kMulti, kFloat, "4", "Multimodal cache.", kLater},
    {"language-model-only", "", kMulti, kBool, "off", "Leave the encoders of other media out.", kLater},
    {"enable-mm-embeds", "", kMulti, kBool, "off", "Media as embeddings.", kLater},
    {"media-io-kwargs", "", kMulti, kJson, "{}", "Reading of media.", kLater},
    {"mm-processor-kwargs", "", kMulti, kJson, "", "Preprocessing of media.", kLater},
    {"mm-processor-cache-type", "", kMulti, kString, "lru", "Cache of preprocessed media.", kLater,
     "lru, shm"},
    {"mm-hasher-algorithm", "", kMulti, kString, "blake3", "Names of media.", kLater,
     "blake3, sha256, sha512"},
    {"mm-shm-cache-max-object-size-mb", "", kMulti, kInt, "128", "Largest medium in shared memory.", kLater},
    {"mm-encoder-only", "", kMulti, kBool, "off", "Encoders alone.", kLater},
    {"mm-encoder-tp-mode", "", kMulti, kString, "weights", "What devices share of an encoder.", kLater,
     "data, weights"},
    {"mm-encoder-attn-backend", "", kMulti, kString, "", "Attention kernels of encoders.", kForeign},
    {"mm-encoder-attn-dtype", "", kMulti, kString, "", "Type of their attention.", kForeign, "fp8"},
    {"mm-encoder-fp8-scale-path", "", kMulti, kString, "", "File of scales.", kForeign},
    {"mm-encoder-fp8-scale-save-path", "", kMulti, kString, "", "File to write scales to.", kForeign},
    {"mm-encoder-fp8-scale-save-margin", "", kMulti, kFloat, "1.5", "Margin of such scales.", kForeign},
    {"interleave-mm-strings", "", kMulti, kBool, "off", "Media stay where they stand in a message.", kLater},
    {"skip-mm-profiling", "", kMulti, kBool, "off", "No memory for media is set aside.", kLater},
    {"video-pruning-rate", "", kMulti, kFloat, "", "Share of video tokens that is dropped.", kLater},
    {"video-pruning-method", "", kMulti, kString, "evs", "How.", kLater, "evs, vidcom2"},
    {"mm-tensor-ipc", "", kMulti, kString, "direct_rpc", "Media between processes.", kForeign,
     "direct_rpc, torch_shm"},
    {"mm-processor-device", "", kMulti, kString, "auto", "Where media are preprocessed.", kForeign,
     "auto, cpu"},
    {"mm-ipc-gpu-memory-gb", "", kMulti, kFloat, "0", "GPU memory for media.", kForeign},
    {"mm-device-do-normalize", "", kMulti, kBool, "", "Normalise on the device.", kForeign},

    {"speculative-config", "sc", kSpec, kJson, "", "Speculative decoding.", kLater},
    {"spec-method", "", kSpec, kString, "", "Speculation method.", kLater,
     "bailing_hybrid_mtp, bailing_hybrid_v3_mtp, custom_class, deepseek_mtp, dflash, dots3_note_mtp, "
     "draft_model, dspark, eagle, eagle3, ernie_mtp, exaone4_5_mtp, exaone_moe_mtp, extract_hidden_states, "
     "gemma4_mtp, glm4_moe_lite_mtp, glm4_moe_mtp, glm5_next_mtp, glm_ocr_mtp, hy_v3_mtp, hy_v4_mtp, "
     "inkling_mtp, kimi_k3_mtp, longcat_flash_mtp, medusa, mimo_mtp, mimo_v2_mtp, minimax_m3_mtp, "
     "mlp_speculator, mtp, nemotron_h_mtp, ngram, ngram_gpu, pangu_ultra_moe_mtp, qwen3_5_mtp, "
     "qwen3_next_mtp, qwen4_exp_mtp, step3p5_mtp, suffix"},
    {"spec-model", "", kSpec, kString, "", "Draft model.", kLater},
    {"spec-tokens", "", kSpec, kInt, "", "Drafted tokens per step.", kLater},

    {"structured-outputs-config", "", kStructured, kJson, "", "Structured outputs.", kLater},
    {"reasoning-parser", "", kStructured, kString, "", "Dialect of the model's reasoning.", kLater},
    {"reasoning-config", "", kStructured, kJson, "", "Reasoning tokens.", kLater},
    {"reasoning-parser-plugin", "", kStructured, kString, "", "Python plugin.", kForeign},
};

}  // namespace

std::span<const FlagSpec> model_flag_table() {
  return kTable;
}

}  // namespace pagoda
