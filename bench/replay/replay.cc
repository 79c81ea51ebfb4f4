#include "bench/replay/replay.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/check.h"
#include "kv/kv_manager.h"
#include "schedule/scheduler.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

Time at(double seconds) {
  return Time{} + std::chrono::seconds(1) +
         std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(seconds));
}
double seconds(Time::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

Percentiles percentiles(std::vector<float>* values) {
  if (values->empty()) return {};
  std::ranges::sort(*values);
  auto rank = [&](double share) {
    return static_cast<double>(
        (*values)[static_cast<std::size_t>(share * static_cast<double>(values->size() - 1))]);
  };
  return {rank(0.5), rank(0.9), rank(0.99)};
}

std::unique_ptr<Request> request_of(const TraceRequest& traced, uint64_t number, Time arrival) {
  auto request = std::make_unique<Request>();
  request->id = number + 1;
  request->prompt = prompt_of(traced, number);
  request->params.max_tokens = traced.num_output;
  request->params.ignore_eos = true;
  request->priority = traced.priority;
  request->tenant_key = traced.client;
  request->arrival = arrival;
  return request;
}

// What the step costs: tokens of the batch, tokens whose keys and values are read, pairs of prompts' chunks.
double time_of(const StepPlan& plan, const Device& device) {
  double attended = 0, pairs = 0;
  for (const RowWork& work : plan.work) {
    attended += work.num_computed_tokens + work.num_scheduled_tokens;
    if (work.num_scheduled_tokens > 1)
      pairs += static_cast<double>(work.num_scheduled_tokens) *
               (work.num_computed_tokens + 0.5 * work.num_scheduled_tokens);
  }
  return device.step_s(plan.num_tokens, attended, pairs);
}

void fill(const StepPlan& plan, StepResult* result) {
  const std::size_t num = plan.samples.size();
  result->step_id = plan.step_id;
  result->token.assign(num, 1);
  result->logprob.assign(num, 0);
  result->rank.assign(num, 0);
  result->bad.assign(num, 0);
  result->num_accepted.assign(plan.work.size(), 0);
}

class Recorder {
 public:
  void take(Scheduler* scheduler, const std::vector<TraceRequest>& trace) {
    const StepStats& step = scheduler->last_step();
    for (double itl : step.inter_token_s) itls_.push_back(static_cast<float>(itl));
    num_output_ += step.num_generated_tokens;
    recomputed_ += step.num_recomputed_tokens;
    finished_.clear();
    scheduler->take_finished(&finished_);
    for (const FinishedStats& stats : finished_) {
      PAGODA_CHECK(stats.finish == FinishReason::kLength, "a request has not been served");
      const auto ttft = static_cast<float>(seconds(stats.timings.first_token - stats.timings.arrival));
      ttfts_.push_back(ttft);
      of_class_[trace[stats.id - 1].priority].push_back(ttft);
      e2es_.push_back(static_cast<float>(seconds(stats.timings.finished - stats.timings.arrival)));
      num_prompt_ += stats.counts.num_prompt;
    }
  }
  std::size_t num_finished() const { return ttfts_.size(); }
  void finish(double duration_s, Replay* out) {
    for (float ttft : ttfts_) out->mean_ttft_s += ttft / static_cast<double>(ttfts_.size());
    out->ttft_s = percentiles(&ttfts_);
    out->itl_s = percentiles(&itls_);
    out->e2e_s = percentiles(&e2es_);
    out->worst_itl_s = itls_.empty() ? 0 : itls_.back();
    for (auto& [priority, values] : of_class_) out->ttft_of_class[priority] = percentiles(&values);
    out->duration_s = duration_s;
    out->num_recomputed = recomputed_;
    out->prompt_tokens_per_s = static_cast<double>(num_prompt_) / duration_s;
    out->output_tokens_per_s = static_cast<double>(num_output_) / duration_s;
  }

 private:
  std::vector<float> ttfts_, itls_, e2es_;
  std::map<int64_t, std::vector<float>> of_class_;
  std::vector<FinishedStats> finished_;
  int64_t num_output_ = 0, num_prompt_ = 0, recomputed_ = 0;
};

}  // namespace

double Device::step_s(double tokens, double attended, double pairs) const {
  return overhead_s + std::max(weight_bytes / bytes_per_s, tokens * flop_per_token / flop_per_s) +
         attended * kv_bytes / bytes_per_s + pairs * flop_per_pair / attention_flop_per_s;
}

int32_t Device::num_blocks(int32_t block_size) const {
  const double bytes = memory_bytes * memory_share - weight_bytes - scratch_bytes;
  return static_cast<int32_t>(bytes / (kv_bytes * block_size));
}

Replay replay(const std::vector<TraceRequest>& trace, const Scenario& scenario, const Device& device) {
  PrefixCacheConfig cache;
  cache.enabled = scenario.prefix_cache;
  cache.hash_seed = "replay";
  KvManager kv({testing::full_group(kReplayBlock)}, scenario.num_blocks, cache);
  Scheduler scheduler(scenario.scheduler, &kv);
  Replay out;
  Recorder recorder;
  std::vector<TokenEvent> events;
  StepResult result;
  double now = 0, host_s = 0;
  auto timed = [&](auto&& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    host_s += seconds(std::chrono::steady_clock::now() - begin);
  };
  for (std::size_t next = 0; recorder.num_finished() < trace.size();) {
    for (; next < trace.size() && trace[next].arrival_s * scenario.stretch <= now; ++next) {
      const Time arrival = at(trace[next].arrival_s * scenario.stretch);
      scheduler.submit(request_of(trace[next], next, arrival), at(now), &events);
    }
    StepPlan* plan = nullptr;
    timed([&] { plan = &scheduler.plan(at(now), &events); });
    if (plan->empty()) {
      PAGODA_CHECK(next < trace.size(), "all have come, but not all have been served");
      now = trace[next].arrival_s * scenario.stretch;
      continue;
    }
    now += time_of(*plan, device);
    fill(*plan, &result);
    timed([&] { scheduler.commit(*plan, result, at(now), &events); });
    recorder.take(&scheduler, trace);
    events.clear();
    ++out.num_steps;
  }
  recorder.finish(now, &out);
  const SchedulerStats stats = scheduler.stats();
  out.num_preemptions = static_cast<int64_t>(stats.num_preemptions);
  out.hit_rate =
      static_cast<double>(stats.prefix_hits) / std::max(static_cast<double>(stats.prefix_queries), 1.);
  out.host_us_per_step = 1e6 * host_s / static_cast<double>(out.num_steps);
  return out;
}

}  // namespace pagoda
