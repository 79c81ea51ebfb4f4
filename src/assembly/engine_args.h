// What is served and how, in the words of the flags, cut into what each part of the start takes, in the order
// in which assemble() builds them. The initializers, here and in contract/engine_config.h, are the flags'
// defaults: the one place that holds each.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/value.h"
#include "contract/engine_config.h"
#include "kv_events/kv_events_config.h"
#include "metrics/catalog.h"

namespace pagoda {

// The compute threads and their kernels.
struct CpuArgs {
  std::string isa;            // scalar, avx2, ...; empty: the best there is
  std::string list;           // "", auto, nobind or a list: see CpuAffinityOptions
  std::string tune = "auto";  // auto, off or a file: see CpuTuneOptions
  int64_t num_threads = 0;    // 0: see CpuAffinityOptions
};

// The model's files, and how its weights are held.
struct ModelArgs {
  std::string path;       // folder, or empty: the built-in demo model
  std::string tokenizer;  // empty: the model's
  std::string dtype = "auto", load_format = "auto";
  std::string quantization, lm_head_quantization;  // empty: as the checkpoint has it; as the layers or int8
  std::string hf_config;                           // config.json for load_format dummy
  Value hf_overrides;                              // merged into config.json
  uint64_t seed = 0;                               // of dummy weights
  std::optional<int64_t> max_model_len;            // -1: the longest that fits
  bool allow_long_max_model_len = false;           // longer than the model was made for
  std::string packed_cache;                        // folder of packed weights; empty: none
};

// Where KV blocks go that leave the cache.
struct KvOffloadArgs {
  double memory_gib = 0;  // 0: nowhere
  std::string path;       // folder behind the memory; empty: none
  double disk_gib = 0;    // 0: four times the memory
};

// The memory plan and the KV cache.
struct CacheArgs {
  std::string kv_cache_dtype = "auto";
  int64_t block_size = 16;  // tokens
  bool block_size_is_given = false;
  double gpu_memory_utilization = 0.5;
  std::optional<int64_t> kv_cache_memory_bytes, num_gpu_blocks_override;
  PrefixCacheConfig prefix_cache;
  std::optional<int64_t> prefix_match_unit;     // tokens; only the block size is possible
  int64_t prefix_cache_retention_interval = 0;  // tokens; 0: none is asked for
  bool swa_bounded_replay = true;
  KvOffloadArgs offload;
};

// What a step has at most, of what memory is laid out for (SchedulerConfig); 0: all of it.
struct StepLimits {
  int64_t max_num_active_seqs = 0, max_num_scheduled_tokens = 0;
};

// From text to tokens and back.
struct FrontendArgs {
  std::vector<std::string> served_names;  // empty: the model's path
  bool accept_any_model_name = false;     // in requests
  std::string chat_template, chat_template_content_format = "auto";
  bool trust_request_chat_template = false;
  Value default_template_kwargs;
  std::string generation_config = "auto";
  Value override_generation_config;
  int64_t max_logprobs = 20;  // -1: the vocabulary
  std::string response_role = "assistant";
  int64_t num_text_threads = 2;
};

// What is told of the engine.
struct ObservabilityArgs {
  KvEventsConfig kv_events;          // block hashes for routers
  HistogramBounds histogram_bounds;  // in place of the usual ones
};

struct EngineArgs {
  CpuArgs cpu;
  ModelArgs model;
  CacheArgs cache;
  EngineConfig config;  // scheduler, statistics, watchdog
  StepLimits step_limits;
  FrontendArgs frontend;
  ObservabilityArgs observability;
};

}  // namespace pagoda
