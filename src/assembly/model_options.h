#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/value.h"
#include "engine/kv_event_publisher.h"
#include "metrics/catalog.h"

namespace pagoda {

// Where blocks go that leave the KV cache.
struct KvOffloadOptions {
  double memory_gib = 0;  // 0: nowhere
  std::string path;       // folder behind the memory; empty: none
  double disk_gib = 0;    // 0: four times the memory
};

// What is served and how, in the words of the flags; values as given, judged by assemble().
struct ModelOptions {
  std::string model;      // folder, or empty: the built-in demo model
  std::string tokenizer;  // empty: the model's
  std::vector<std::string> served_names;
  std::string dtype = "auto", kv_cache_dtype = "auto", load_format = "auto", cpu_isa;
  std::string quantization, lm_head_quantization;  // empty: as the checkpoint has it; as the layers or int8
  std::string hf_config;                           // config.json for load_format dummy
  Value hf_overrides;                              // merged into config.json
  uint64_t seed = 0;
  std::optional<int64_t> max_model_len;  // -1: the longest that fits
  int64_t max_num_seqs = 128, max_num_batched_tokens = 256, max_num_queued_reqs = 4096;
  int64_t max_num_active_seqs = 0, max_num_scheduled_tokens = 0;  // 0: those
  int64_t max_num_queued_tokens = 0;       // 0: no bound
  std::string scheduling_policy = "fcfs";  // fcfs, priority, fair
  int64_t long_prefill_token_threshold = 0;
  bool long_prefill_token_threshold_adaptive = false;
  bool enable_chunked_prefill = true, adaptive_chunks = true;
  double itl_slo_ms = 0;  // 0: none
  double watermark = 0.01;
  int64_t max_overtakes = 64;
  bool enable_prefix_caching = true;
  std::string prefix_caching_hash_algo = "sha256";  // sha256, sha256_cbor, xxhash
  int64_t block_size = 16;
  bool block_size_is_given = false;
  std::optional<int64_t> prefix_match_unit;     // tokens; nothing but the block size is possible
  int64_t prefix_cache_retention_interval = 0;  // tokens; 0: none is asked for
  double memory_utilization = 0.5;
  std::optional<int64_t> kv_cache_memory_bytes, num_blocks_override;
  KvOffloadOptions kv_offload;
  std::string chat_template, chat_template_content_format = "auto";
  bool trust_request_chat_template = false;
  Value default_template_kwargs;
  std::string generation_config = "auto";
  Value override_generation_config;
  int64_t max_logprobs = 20;
  std::string response_role = "assistant";
  std::string packed_cache;       // folder of packed weights; empty: none
  std::string cpu_list;           // "", auto, nobind or a list: see CpuWish
  std::string cpu_tune = "auto";  // auto, off or a file: see CpuTuneWish
  int64_t num_threads = 0;        // 0: see CpuWish
  int64_t num_text_threads = 2;
  double watchdog_timeout_s = 300;     // 0: none
  KvEventsConfig kv_events;            // block hashes for routers
  double kv_cache_metrics_sample = 0;  // share of the blocks whose lives are measured
  HistogramBounds histogram_bounds;    // in place of the usual ones
  bool log_stats = true;
  double stats_interval_s = 10;
  bool accept_any_model_name = false;     // in requests
  bool allow_long_max_model_len = false;  // longer than the model was made for
};

}  // namespace pagoda
