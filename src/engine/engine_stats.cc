#include "engine/engine_stats.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "base/log.h"

namespace pagoda {
namespace {

double seconds(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}

void advance(Counter* counter, uint64_t before, uint64_t now) {
  if (now != before) counter->add(static_cast<double>(now - before));
}

Counter& success_counter(EngineMetrics* metrics, FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop:
      return metrics->success_stop;
    case FinishReason::kLength:
      return metrics->success_length;
    case FinishReason::kAbort:
      return metrics->success_abort;
    case FinishReason::kTimeout:
      return metrics->success_timeout;
    default:
      return metrics->success_error;
  }
}

}  // namespace

EngineStats::EngineStats(EngineMetrics* metrics, const EngineConfig& config)
    : metrics_(metrics),
      log_stats_(config.log_stats && config.stats_interval_s > 0),
      interval_(std::chrono::duration_cast<Time::duration>(
          std::chrono::duration<double>(config.stats_interval_s))) {}

void EngineStats::on_step(const StepStats& step, double step_s, double scheduler_s) {
  metrics_->prompt_tokens.add(step.num_prompt_tokens);
  metrics_->prompt_tokens_cached.add(step.num_prompt_cached);
  metrics_->prompt_tokens_external.add(step.num_prompt_external);
  metrics_->prompt_tokens_local_cache_hit.add(step.num_prompt_cached - step.num_prompt_external);
  metrics_->prompt_tokens_local_compute.add(step.num_prompt_tokens - step.num_prompt_cached);
  metrics_->prompt_tokens_recomputed.add(step.num_recomputed_tokens);
  metrics_->generation_tokens.add(step.num_generated_tokens);
  metrics_->corrupted_requests.add(step.num_bad);
  metrics_->iteration_tokens_total.observe(step.num_prompt_tokens + step.num_generated_tokens);
  metrics_->step_time.observe(step_s);
  metrics_->scheduler_time.observe(scheduler_s);
  for (double latency : step.first_token_s) metrics_->time_to_first_token.observe(latency);
  for (double latency : step.inter_token_s) metrics_->inter_token_latency.observe(latency);
  num_prompt_ += step.num_prompt_tokens;
  num_generated_ += step.num_generated_tokens;
}

void EngineStats::on_finished(std::span<const FinishedStats> finished) {
  for (const FinishedStats& stats : finished) {
    success_counter(metrics_, stats.finish).add();
    // The rest tells of answers; one that was given up or failed would only blur it.
    if (stats.finish != FinishReason::kStop && stats.finish != FinishReason::kLength) continue;
    metrics_->request_prompt_tokens.observe(stats.counts.num_prompt);
    metrics_->request_generation_tokens.observe(stats.counts.num_output);
    if (stats.choice == 0)  // the others share what it has computed
      metrics_->request_prefill_kv_computed_tokens.observe(stats.counts.num_prompt - stats.counts.num_cached);
    metrics_->request_params_max_tokens.observe(stats.max_tokens);
    metrics_->request_num_preemptions.observe(stats.num_preemptions);
    if (stats.last_of_request) {
      metrics_->request_params_n.observe(stats.n);
      metrics_->request_max_num_generation_tokens.observe(stats.max_num_output);
    }
    metrics_->e2e_request_latency.observe(seconds(stats.timings.arrival, stats.timings.finished));
    if (stats.counts.num_output == 0) continue;  // only a prompt: it has no first token
    double decode_s = seconds(stats.timings.first_token, stats.timings.last_token);
    metrics_->request_queue_time.observe(seconds(stats.timings.arrival, stats.timings.scheduled));
    metrics_->request_prefill_time.observe(seconds(stats.timings.scheduled, stats.timings.first_token));
    metrics_->request_decode_time.observe(decode_s);
    metrics_->request_inference_time.observe(seconds(stats.timings.scheduled, stats.timings.last_token));
    metrics_->request_time_per_output_token.observe(
        stats.counts.num_output > 1 ? decode_s / (stats.counts.num_output - 1) : 0);
  }
}

void EngineStats::on_state(const SchedulerStats& state) {
  metrics_->num_requests_running.set(state.num_running);
  metrics_->num_requests_waiting.set(state.num_waiting + state.num_deferred);
  metrics_->waiting_capacity.set(state.num_waiting);
  metrics_->waiting_deferred.set(state.num_deferred);
  metrics_->kv_cache_usage_perc.set(state.kv_usage);
  for (std::size_t g = 0; g < metrics_->kv_group_usage_perc.size(); ++g)
    metrics_->kv_group_usage_perc[g]->set(state.kv_group_usage[g]);
  advance(&metrics_->num_preemptions, last_state_.num_preemptions, state.num_preemptions);
  advance(&metrics_->prefix_cache_queries, last_state_.prefix_queries, state.prefix_queries);
  advance(&metrics_->prefix_cache_hits, last_state_.prefix_hits, state.prefix_hits);
  advance(&metrics_->cached_by_device, last_state_.prefix_hits, state.prefix_hits);
  const uint64_t num_requests = state.prefix_requests - last_state_.prefix_requests;
  prefix_hit_rate_.add(num_requests, state.prefix_queries - last_state_.prefix_queries,
                       state.prefix_hits - last_state_.prefix_hits);
  offload_hit_rate_.add(num_requests, state.offload.queried_tokens - last_state_.offload.queried_tokens,
                        state.offload.hit_tokens - last_state_.offload.hit_tokens);
  if (metrics_->offload) on_offload(state.offload);
  last_state_ = state;
}

void EngineStats::on_offload(const OffloadStats& offload) {
  OffloadMetrics& metrics = *metrics_->offload;
  const OffloadStats& last = last_state_.offload;
  advance(&metrics_->external_prefix_cache_queries, last.queried_tokens, offload.queried_tokens);
  advance(&metrics_->external_prefix_cache_hits, last.hit_tokens, offload.hit_tokens);
  advance(&metrics_->cached_by_host, last.hit_tokens - last.disk_hit_tokens,
          offload.hit_tokens - offload.disk_hit_tokens);
  advance(&metrics_->cached_by_disk, last.disk_hit_tokens, offload.disk_hit_tokens);
  advance(&metrics.load_bytes, last.load_bytes, offload.load_bytes);
  advance(&metrics.store_bytes, last.store_bytes, offload.store_bytes);
  advance(&metrics.stores_skipped, last.num_stores_skipped, offload.num_stores_skipped);
  if (offload.load_s > last.load_s) metrics.load_time.add(offload.load_s - last.load_s);
  if (offload.store_s > last.store_s) metrics.store_time.add(offload.store_s - last.store_s);
  // What one step moves is one operation.
  if (offload.load_bytes > last.load_bytes)
    metrics.load_size.observe(static_cast<double>(offload.load_bytes - last.load_bytes));
  if (offload.store_bytes > last.store_bytes)
    metrics.store_size.observe(static_cast<double>(offload.store_bytes - last.store_bytes));
  const double slots = std::max(offload.num_slots, 1);
  metrics.usage_perc.set(offload.num_under_way / slots);
  metrics.occupancy_perc.set(offload.num_used_slots / slots);
  metrics.occupied_bytes.set(static_cast<double>(offload.used_bytes));
}

Time EngineStats::next_log() const {
  return log_stats_ && !silent_ ? begin_ + interval_ : Time::max();
}

void EngineStats::maybe_log(Time now, const SchedulerStats& state) {
  if (!log_stats_) return;
  bool idle = num_prompt_ + num_generated_ == 0;
  if (silent_) {
    if (idle) return;
    silent_ = false;
    begin_ = now;
  }
  if (now < begin_ + interval_) return;
  silent_ = idle;
  log_info("{}", log_line(now, state));
}

std::string EngineStats::log_line(Time now, const SchedulerStats& state) {
  double elapsed_s = std::max(seconds(begin_, now), 1e-9);
  std::string line = fmt::format(
      "Engine 000: Avg prompt throughput: {:.1f} tokens/s, Avg generation throughput: {:.1f} tokens/s, "
      "Running: {} reqs, Waiting: {} reqs, CPU KV cache usage: {:.1f}%, Prefix cache hit rate: {:.1f}%",
      static_cast<double>(num_prompt_) / elapsed_s, static_cast<double>(num_generated_) / elapsed_s,
      state.num_running, state.num_waiting + state.num_deferred, state.kv_usage * 100,
      prefix_hit_rate_.value() * 100);
  if (state.offload.num_slots > 0)
    line += fmt::format(", External prefix cache hit rate: {:.1f}%", offload_hit_rate_.value() * 100);
  begin_ = now;
  num_prompt_ = num_generated_ = 0;
  return line;
}

}  // namespace pagoda
