#include "engine/engine_stats.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace pagoda {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Fixture {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 2048};
  EngineConfig config;
};

TEST(EngineStats, FeedsTheStepsNumbers) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  StepStats step;
  step.num_prompt_tokens = 30;
  step.num_prompt_cached = 10;
  step.num_prompt_external = 4;
  step.num_generated_tokens = 3;
  step.num_recomputed_tokens = 7;
  step.num_bad = 1;
  step.first_token_s = {0.5};
  step.inter_token_s = {0.25, 0.125};
  stats.on_step(step, 0.75, 0.001);
  EXPECT_EQ(f.metrics.prompt_tokens.value(), 30);
  EXPECT_EQ(f.metrics.prompt_tokens_local_compute.value(), 20);
  EXPECT_EQ(f.metrics.prompt_tokens_local_cache_hit.value(), 6);
  EXPECT_EQ(f.metrics.prompt_tokens_external.value(), 4);
  EXPECT_EQ(f.metrics.prompt_tokens_cached.value(), 10);
  EXPECT_EQ(f.metrics.prompt_tokens_recomputed.value(), 7);
  EXPECT_EQ(f.metrics.generation_tokens.value(), 3);
  EXPECT_EQ(f.metrics.corrupted_requests.value(), 1);
  EXPECT_EQ(f.metrics.iteration_tokens_total.sum(), 33);
  EXPECT_EQ(f.metrics.time_to_first_token.sum(), 0.5);
  EXPECT_EQ(f.metrics.inter_token_latency.count(), 2u);
  EXPECT_EQ(f.metrics.inter_token_latency.sum(), 0.375);
  EXPECT_EQ(f.metrics.step_time.sum(), 0.75);
  EXPECT_EQ(f.metrics.scheduler_time.sum(), 0.001);
}

TEST(EngineStats, FeedsWhatAChoiceWentThrough) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  Time t0{seconds(100)};
  FinishedStats first{.id = 1,
                      .choice = 0,
                      .finish = FinishReason::kStop,
                      .counts = {.num_prompt = 12, .num_cached = 8, .num_output = 5},
                      .max_tokens = 64,
                      .n = 2,
                      .last_of_request = false,
                      .max_num_output = 5,
                      .num_preemptions = 2,
                      .timings = {.arrival = t0,
                                  .scheduled = t0 + seconds(1),
                                  .first_token = t0 + seconds(3),
                                  .last_token = t0 + seconds(7),
                                  .finished = t0 + seconds(8)}};
  FinishedStats second = first;
  second.choice = 1;
  second.finish = FinishReason::kLength;
  second.counts.num_output = 9;
  second.last_of_request = true;
  second.max_num_output = 9;
  FinishedStats aborted = first, failed = first, late = first;
  aborted.finish = FinishReason::kAbort;
  late.finish = FinishReason::kTimeout;
  failed.finish = FinishReason::kError;
  stats.on_finished(std::vector{first, second, aborted, failed, late});
  EXPECT_EQ(f.metrics.success_stop.value(), 1);
  EXPECT_EQ(f.metrics.success_length.value(), 1);
  EXPECT_EQ(f.metrics.success_abort.value(), 1);
  EXPECT_EQ(f.metrics.success_error.value(), 1);
  EXPECT_EQ(f.metrics.success_timeout.value(), 1);
  EXPECT_EQ(f.metrics.request_prompt_tokens.sum(), 24);
  EXPECT_EQ(f.metrics.request_generation_tokens.sum(), 14);
  EXPECT_EQ(f.metrics.request_max_num_generation_tokens.count(), 1u);
  EXPECT_EQ(f.metrics.request_max_num_generation_tokens.sum(), 9);
  EXPECT_EQ(f.metrics.request_prefill_kv_computed_tokens.count(), 1u);  // choice 0's
  EXPECT_EQ(f.metrics.request_prefill_kv_computed_tokens.sum(), 4);
  EXPECT_EQ(f.metrics.request_params_n.count(), 1u);
  EXPECT_EQ(f.metrics.request_params_max_tokens.sum(), 128);
  EXPECT_EQ(f.metrics.request_num_preemptions.count(), 2u);
  EXPECT_EQ(f.metrics.request_num_preemptions.sum(), 4);
  EXPECT_EQ(f.metrics.request_queue_time.sum(), 2);
  EXPECT_EQ(f.metrics.request_prefill_time.sum(), 4);
  EXPECT_EQ(f.metrics.request_decode_time.sum(), 8);
  EXPECT_EQ(f.metrics.request_inference_time.sum(), 12);
  EXPECT_EQ(f.metrics.e2e_request_latency.sum(), 16);
  EXPECT_EQ(f.metrics.request_time_per_output_token.sum(), 4.0 / 4 + 4.0 / 8);
}

TEST(EngineStats, FeedsGaugesAndTotals) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  SchedulerStats state{.num_running = 3,
                       .num_waiting = 4,
                       .num_deferred = 2,
                       .num_preemptions = 5,
                       .prefix_queries = 100,
                       .prefix_hits = 25,
                       .kv_usage = 0.5};
  stats.on_state(state);
  state.num_preemptions = 6;
  stats.on_state(state);
  EXPECT_EQ(f.metrics.num_requests_running.value(), 3);
  EXPECT_EQ(f.metrics.num_requests_waiting.value(), 6);
  EXPECT_EQ(f.metrics.waiting_capacity.value(), 4);
  EXPECT_EQ(f.metrics.waiting_deferred.value(), 2);
  EXPECT_EQ(f.metrics.kv_cache_usage_perc.value(), 0.5);
  EXPECT_EQ(f.metrics.num_preemptions.value(), 6);
  EXPECT_EQ(f.metrics.prefix_cache_queries.value(), 100);
  EXPECT_EQ(f.metrics.prefix_cache_hits.value(), 25);
  EXPECT_EQ(f.metrics.cached_by_device.value(), 25);
  EXPECT_EQ(f.metrics.cached_by_host.value(), 0);
}

TEST(EngineStats, LogLineHasTheShapeThatScriptsLookFor) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  Time t0{seconds(100)};
  SchedulerStats state{
      .num_running = 2, .num_waiting = 1, .prefix_queries = 8, .prefix_hits = 2, .kv_usage = 0.125};
  stats.on_state(state);
  StepStats step;
  step.num_prompt_tokens = 1;
  stats.on_step(step, 0.1, 0);
  stats.maybe_log(t0, state);  // the interval begins with the first tokens
  step.num_prompt_tokens = 124;
  step.num_generated_tokens = 50;
  stats.on_step(step, 0.1, 0);
  EXPECT_EQ(stats.log_line(t0 + seconds(10), state),
            "Engine 000: Avg prompt throughput: 12.5 tokens/s, Avg generation throughput: 5.0 tokens/s, "
            "Running: 2 reqs, Waiting: 1 reqs, CPU KV cache usage: 12.5%, Prefix cache hit rate: 25.0%");
  EXPECT_EQ(stats.log_line(t0 + seconds(20), {}),
            "Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 0.0 tokens/s, "
            "Running: 0 reqs, Waiting: 0 reqs, CPU KV cache usage: 0.0%, Prefix cache hit rate: 25.0%");
}

TEST(EngineStats, LogLineTellsOfOffloadingWhereThereIsOne) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  SchedulerStats state;
  state.prefix_requests = 1;
  state.offload.num_slots = 4;
  state.offload.queried_tokens = 80;
  state.offload.hit_tokens = 20;
  stats.on_state(state);
  const std::string line = stats.log_line(Time{seconds(1)}, state);
  EXPECT_TRUE(line.ends_with("Prefix cache hit rate: 0.0%, External prefix cache hit rate: 25.0%")) << line;
}

// The last 1000 requests count, not all there ever were.
TEST(RecentHitRate, ForgetsOldRequests) {
  RecentHitRate rate;
  EXPECT_EQ(rate.value(), 0);
  for (int i = 0; i < 1000; ++i) rate.add(1, 10, 0);
  rate.add(0, 0, 0);
  EXPECT_EQ(rate.value(), 0);
  for (int i = 0; i < 250; ++i) rate.add(2, 20, 20);
  EXPECT_EQ(rate.value(), 0.5);
  rate.add(0, 0, 0);
  for (int i = 0; i < 500; ++i) rate.add(1, 10, 8), rate.add(0, 0, 2);  // found later
  EXPECT_EQ(rate.value(), 1);
  rate.add(5000, 100, 25);  // more at once than are kept: they are what there is
  EXPECT_EQ(rate.value(), 0.25);
}

TEST(EngineStats, FeedsOffload) {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 2048, {.offload = true}};
  EngineStats stats(&metrics, {});
  SchedulerStats state;
  state.offload = {
      .num_slots = 8, .num_used_slots = 4, .num_under_way = 2, .used_bytes = 4000, .store_bytes = 5000};
  stats.on_state(state);
  stats.on_state(state);  // nothing has happened since
  state.offload.load_bytes = 3000;
  state.offload.load_s = 0.5;
  state.offload.store_bytes = 6000;
  state.offload.store_s = 0.25;
  state.offload.num_stores_skipped = 3;
  state.offload.queried_tokens = 64;
  state.offload.hit_tokens = 32;
  state.offload.disk_hit_tokens = 16;
  stats.on_state(state);
  state.offload.hit_tokens = 48;
  stats.on_state(state);
  EXPECT_EQ(metrics.external_prefix_cache_hits.value(), 48);
  EXPECT_EQ(metrics.cached_by_host.value(), 32);
  EXPECT_EQ(metrics.cached_by_disk.value(), 16);
  const OffloadMetrics& offload = *metrics.offload;
  EXPECT_EQ(offload.load_bytes.value(), 3000);
  EXPECT_EQ(offload.load_time.value(), 0.5);
  EXPECT_EQ(offload.load_size.count(), 1u);
  EXPECT_EQ(offload.load_size.sum(), 3000);
  EXPECT_EQ(offload.store_bytes.value(), 6000);
  EXPECT_EQ(offload.store_time.value(), 0.25);
  EXPECT_EQ(offload.store_size.count(), 2u);
  EXPECT_EQ(offload.store_size.sum(), 6000);
  EXPECT_EQ(offload.stores_skipped.value(), 3);
  EXPECT_EQ(offload.usage_perc.value(), 0.25);
  EXPECT_EQ(offload.occupancy_perc.value(), 0.5);
  EXPECT_EQ(offload.occupied_bytes.value(), 4000);
  EXPECT_EQ(metrics.external_prefix_cache_queries.value(), 64);
}

TEST(EngineStats, FallsSilentAfterOneIdleInterval) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  Time t0{seconds(100)};
  EXPECT_EQ(stats.next_log(), Time::max());
  StepStats step;
  step.num_generated_tokens = 1;
  stats.on_step(step, 0.1, 0);
  stats.maybe_log(t0, {});
  EXPECT_EQ(stats.next_log(), t0 + seconds(10));
  stats.maybe_log(t0 + milliseconds(9999), {});
  EXPECT_EQ(stats.next_log(), t0 + seconds(10));
  stats.maybe_log(t0 + seconds(11), {});  // tokens/s
  EXPECT_EQ(stats.next_log(), t0 + seconds(21));
  stats.maybe_log(t0 + seconds(21), {});  // zeros
  EXPECT_EQ(stats.next_log(), Time::max());
  stats.maybe_log(t0 + seconds(50), {});
  EXPECT_EQ(stats.next_log(), Time::max());
  stats.on_step(step, 0.1, 0);
  stats.maybe_log(t0 + seconds(60), {});
  EXPECT_EQ(stats.next_log(), t0 + seconds(70));

  f.config.log_stats = false;
  EngineStats quiet(&f.metrics, f.config);
  quiet.on_step(step, 0.1, 0);
  quiet.maybe_log(t0, {});
  EXPECT_EQ(quiet.next_log(), Time::max());
}

}  // namespace
}  // namespace pagoda
