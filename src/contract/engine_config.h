// Configuration of the engine and its parts. The initializers are the flags' defaults, which stand here
// alone.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace pagoda {

// Which waiting sequence is admitted first, and which running one is preempted. kFcfs: by arrival. kPriority:
// the lower `priority` first, then by arrival. kFair: the tenant that has been served least, by weighted
// tokens.
enum class SchedulingPolicy : uint8_t { kFcfs, kPriority, kFair };
inline constexpr std::pair<const char*, SchedulingPolicy> kSchedulingPolicies[] = {
    {"fcfs", SchedulingPolicy::kFcfs},
    {"priority", SchedulingPolicy::kPriority},
    {"fair", SchedulingPolicy::kFair}};
constexpr std::span<const std::pair<const char*, SchedulingPolicy>> enum_names(SchedulingPolicy) {
  return kSchedulingPolicies;
}

// Limits of a step and of the queue.
struct SchedulerConfig {
  int32_t max_num_seqs = 128;            // rows alive at once
  int32_t max_in_flight = 1;             // plans made and not committed: 1, or 2 to plan while a step runs
  int32_t max_num_batched_tokens = 256;  // tokens per step
  int32_t max_model_len = 0;             // prompt + output; no flag's: the memory plan's
  int32_t long_prefill_token_threshold = 0;  // 0: off; otherwise the most tokens of one prompt per step
  // Off: that many. On: at least a step's share for each running or waiting sequence.
  bool long_prefill_token_threshold_adaptive = false;
  int32_t max_num_queued_reqs = 4096;  // choices waiting or running over all requests; more are refused
  int64_t max_num_queued_tokens = 0;   // prompt tokens of choices waiting or running; 0: no bound
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  bool enable_chunked_prefill = true;  // off: a prompt is computed in one step or waits for a step of its own
  double watermark = 0.01;  // share of the blocks that admission leaves free while any sequence runs
  // One that does not fit is passed by those behind it, but by no more than this many.
  int32_t max_overtakes = 64;
  // Prefill chunks beside running decodes are sized from measured step times: under itl_slo_ms where that is
  // > 0, else so that decoding slows down no more than its share (see step_budget.h). Off: the whole step.
  bool adaptive_chunks = true;
  double itl_slo_ms = 0;
};

// The block hash: SHA-256 of our own layout, SHA-256 of canonical CBOR as vLLM's sha256_cbor, or, under both
// of vLLM's names, XXH3 with the tokens compared at every hit.
enum class BlockHashAlgo : uint8_t { kSha256, kSha256Cbor, kXxhash, kXxhashCbor };
inline constexpr std::pair<const char*, BlockHashAlgo> kBlockHashAlgos[] = {
    {"sha256", BlockHashAlgo::kSha256},
    {"sha256_cbor", BlockHashAlgo::kSha256Cbor},
    {"xxhash", BlockHashAlgo::kXxhash},
    {"xxhash_cbor", BlockHashAlgo::kXxhashCbor}};
constexpr bool is_xxhash(BlockHashAlgo algo) {
  return algo == BlockHashAlgo::kXxhash || algo == BlockHashAlgo::kXxhashCbor;
}
constexpr std::span<const std::pair<const char*, BlockHashAlgo>> enum_names(BlockHashAlgo) {
  return kBlockHashAlgos;
}

struct PrefixCacheConfig {
  bool enabled = true;
  BlockHashAlgo hash_algo = BlockHashAlgo::kSha256;
  // The chain's root is drawn at random, unknown to clients, unless a seed makes it common to several
  // processes.
  std::string hash_seed;
  bool record_events = false;   // KvEvents are gathered for take_events()
  double residency_sample = 0;  // share of the blocks whose residency is measured; 0: none
  // > 0: sliding-window groups stay out of the prefix cache. A hit computes that many of its last tokens
  // again, which brings back what the windows show of it; the other groups keep what they have of them.
  int32_t replay_tokens = 0;
  int32_t offload_slots = 0;       // blocks that the offload memory holds; 0: no offloading
  int64_t offload_disk_slots = 0;  // and the offload disk
};

struct EngineConfig {
  SchedulerConfig scheduler;
  bool log_stats = true;
  double stats_interval_s = 10;
  double watchdog_timeout_s = 300;  // the process ends when there is work and no step for so long; 0: never
};

}  // namespace pagoda
