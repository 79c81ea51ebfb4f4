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
  step.num_generated_tokens = 3;
  step.num_recomputed_tokens = 7;
  step.num_bad = 1;
  step.first_token_s = {0.5};
  step.inter_token_s = {0.25, 0.125};
  stats.on_step(step, 0.75);
  EXPECT_EQ(f.metrics.prompt_tokens.value(), 30);
  EXPECT_EQ(f.metrics.prompt_tokens_local_compute.value(), 20);
  EXPECT_EQ(f.metrics.prompt_tokens_local_cache_hit.value(), 10);
  EXPECT_EQ(f.metrics.prompt_tokens_cached.value(), 10);
  EXPECT_EQ(f.metrics.prompt_tokens_recomputed.value(), 7);
  EXPECT_EQ(f.metrics.generation_tokens.value(), 3);
  EXPECT_EQ(f.metrics.corrupted_requests.value(), 1);
  EXPECT_EQ(f.metrics.iteration_tokens_total.sum(), 33);
  EXPECT_EQ(f.metrics.time_to_first_token.sum(), 0.5);
  EXPECT_EQ(f.metrics.inter_token_latency.count(), 2u);
  EXPECT_EQ(f.metrics.inter_token_latency.sum(), 0.375);
  EXPECT_EQ(f.metrics.step_time.sum(), 0.75);
}

TEST(EngineStats, FeedsWhatAChoiceWentThrough) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  Time t0{seconds(100)};
  FinishedStats first{.id = 1,
                      .choice = 0,
                      .finish = FinishReason::kStop,
                      .num_prompt = 12,
                      .num_output = 5,
                      .max_tokens = 64,
                      .n = 2,
                      .last_of_request = false,
                      .max_num_output = 5,
                      .arrival = t0,
                      .scheduled = t0 + seconds(1),
                      .first_token = t0 + seconds(3),
                      .last_token = t0 + seconds(7),
                      .finished = t0 + seconds(8)};
  FinishedStats second = first;
  second.choice = 1;
  second.finish = FinishReason::kLength;
  second.num_output = 9;
  second.last_of_request = true;
  second.max_num_output = 9;
  FinishedStats aborted = first, failed = first;
  aborted.finish = FinishReason::kAbort;
  failed.finish = FinishReason::kError;
  stats.on_finished(std::vector{first, second, aborted, failed});
  EXPECT_EQ(f.metrics.success_stop.value(), 1);
  EXPECT_EQ(f.metrics.success_length.value(), 1);
  EXPECT_EQ(f.metrics.success_abort.value(), 1);
  EXPECT_EQ(f.metrics.success_error.value(), 1);
  EXPECT_EQ(f.metrics.request_prompt_tokens.sum(), 24);
  EXPECT_EQ(f.metrics.request_generation_tokens.sum(), 14);
  EXPECT_EQ(f.metrics.request_max_num_generation_tokens.count(), 1u);
  EXPECT_EQ(f.metrics.request_max_num_generation_tokens.sum(), 9);
  EXPECT_EQ(f.metrics.request_params_n.count(), 1u);
  EXPECT_EQ(f.metrics.request_params_max_tokens.sum(), 128);
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
}

TEST(EngineStats, LogLineHasTheShapeThatScriptsLookFor) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  Time t0{seconds(100)};
  SchedulerStats state{
      .num_running = 2, .num_waiting = 1, .prefix_queries = 8, .prefix_hits = 2, .kv_usage = 0.125};
  StepStats step;
  step.num_prompt_tokens = 1;
  stats.on_step(step, 0.1);
  stats.maybe_log(t0, state);  // the interval begins with the first tokens
  step.num_prompt_tokens = 124;
  step.num_generated_tokens = 50;
  stats.on_step(step, 0.1);
  EXPECT_EQ(stats.log_line(t0 + seconds(10), state),
            "Engine 000: Avg prompt throughput: 12.5 tokens/s, Avg generation throughput: 5.0 tokens/s, "
            "Running: 2 reqs, Waiting: 1 reqs, GPU KV cache usage: 12.5%, Prefix cache hit rate: 25.0%");
  EXPECT_EQ(stats.log_line(t0 + seconds(20), {}),
            "Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 0.0 tokens/s, "
            "Running: 0 reqs, Waiting: 0 reqs, GPU KV cache usage: 0.0%, Prefix cache hit rate: 0.0%");
}

TEST(EngineStats, FallsSilentAfterOneIdleInterval) {
  Fixture f;
  EngineStats stats(&f.metrics, f.config);
  Time t0{seconds(100)};
  EXPECT_EQ(stats.next_log(), Time::max());
  StepStats step;
  step.num_generated_tokens = 1;
  stats.on_step(step, 0.1);
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
  stats.on_step(step, 0.1);
  stats.maybe_log(t0 + seconds(60), {});
  EXPECT_EQ(stats.next_log(), t0 + seconds(70));

  f.config.log_stats = false;
  EngineStats quiet(&f.metrics, f.config);
  quiet.on_step(step, 0.1);
  quiet.maybe_log(t0, {});
  EXPECT_EQ(quiet.next_log(), Time::max());
}

}  // namespace
}  // namespace pagoda
