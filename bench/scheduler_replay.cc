// scheduler_replay TRACE [NAME]: the requests of a trace through the real scheduler, the device pretended.
// Prints tables of latencies, throughput and cache hits, in Markdown; only scenarios whose name holds NAME.
#include <cstdio>
#include <string>

#include "bench/replay/replay.h"

namespace pagoda {
namespace {

SchedulerConfig scheduler_config() {
  SchedulerConfig config;
  config.max_num_seqs = 256;
  config.max_num_batched_tokens = 8192;
  config.max_model_len = 65536;
  config.adaptive_chunks = false;
  config.watermark = 0;
  return config;
}

void print_head() {
  std::puts(
      "| scenario | TTFT p50 / p90 / p99, s | ITL p50 / p90 / p99 (worst), ms | E2E p50 / p90 / p99, s | in, "
      "tokens/s | out, tokens/s | hits | of what is possible | preempted | scheduler, us/step |\n"
      "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
}

void print_row(const std::string& name, const Replay& r, double possible) {
  std::printf(
      "| %s | %.2f / %.2f / %.2f | %.1f / %.1f / %.1f (%.0f) | %.1f / %.1f / %.1f | %.0f | %.0f | %.2f %% | "
      "%.1f %% | %lld | %.0f |\n",
      name.c_str(), r.ttft_s.p50, r.ttft_s.p90, r.ttft_s.p99, 1e3 * r.itl_s.p50, 1e3 * r.itl_s.p90,
      1e3 * r.itl_s.p99, 1e3 * r.worst_itl_s, r.e2e_s.p50, r.e2e_s.p90, r.e2e_s.p99, r.prompt_tokens_per_s,
      r.output_tokens_per_s, 100 * r.hit_rate, 100 * r.hit_rate / possible,
      static_cast<long long>(r.num_preemptions), r.host_us_per_step);
  std::fflush(stdout);
}

void print_classes(const std::string& name, const Replay& r) {
  std::printf("classes of \"%s\", TTFT p50 / p99, s:", name.c_str());
  for (const auto& [priority, ttft] : r.ttft_of_class)
    std::printf(" priority %lld: %.2f / %.2f;", static_cast<long long>(priority), ttft.p50, ttft.p99);
  std::puts("");
}

std::vector<Scenario> scenarios(const Device& device, double stretch) {
  const int32_t full = device.num_blocks(kReplayBlock), unlimited = 4'000'000;
  const Scenario base{
      .name = "fcfs", .scheduler = scheduler_config(), .num_blocks = full, .stretch = stretch};
  std::vector<Scenario> all;
  auto add = [&](const char* name, auto&& change) {
    all.push_back(base);
    all.back().name = name;
    change(&all.back());
  };
  auto policy = [](SchedulingPolicy which) { return [which](Scenario* s) { s->scheduler.policy = which; }; };
  auto quarter = [full](auto&& more) {
    return [full, more](Scenario* s) {
      s->num_blocks = full / 4;
      more(s);
    };
  };
  auto nothing = [](Scenario*) {};
  auto no_cache = [](Scenario* s) { s->prefix_cache = false; };
  auto no_bypass = [](Scenario* s) { s->scheduler.max_overtakes = 0; };
  add("fcfs", nothing);
  add("priority", policy(SchedulingPolicy::kPriority));
  add("fair, `shard` as client", policy(SchedulingPolicy::kFair));
  add("fcfs, memory without end", [=](Scenario* s) { s->num_blocks = unlimited; });
  add("fcfs, no prefix cache", no_cache);
  add("fcfs, chunks of 2048", [](Scenario* s) { s->scheduler.max_num_batched_tokens = 2048; });
  add("fcfs, chunks by time", [](Scenario* s) { s->scheduler.adaptive_chunks = true; });
  add("fcfs, ITL bound 50 ms", [](Scenario* s) {
    s->scheduler.adaptive_chunks = true;
    s->scheduler.itl_slo_ms = 50;
  });
  add("fcfs, no bypass", no_bypass);
  auto watermark = [](Scenario* s) { s->scheduler.watermark = 0.05; };
  add("fcfs, watermark 0.01", [](Scenario* s) { s->scheduler.watermark = 0.01; });
  add("fcfs, watermark 0.05", watermark);
  add("priority, watermark 0.05", [=](Scenario* s) {
    watermark(s);
    s->scheduler.policy = SchedulingPolicy::kPriority;
  });
  add("fair, watermark 0.05", [=](Scenario* s) {
    watermark(s);
    s->scheduler.policy = SchedulingPolicy::kFair;
  });
  add("quarter of memory: fcfs", quarter(nothing));
  add("quarter of memory: priority", quarter(policy(SchedulingPolicy::kPriority)));
  add("quarter of memory: fair", quarter(policy(SchedulingPolicy::kFair)));
  add("quarter of memory: fcfs, no prefix cache", quarter(no_cache));
  add("quarter of memory: fcfs, no bypass", quarter(no_bypass));
  add("quarter of memory: fcfs, watermark 0.05", quarter(watermark));
  add("as traced: fcfs", [](Scenario* s) { s->stretch = 1; });
  add("as traced: priority", [](Scenario* s) {
    s->stretch = 1;
    s->scheduler.policy = SchedulingPolicy::kPriority;
  });
  add("as traced: fair", [](Scenario* s) {
    s->stretch = 1;
    s->scheduler.policy = SchedulingPolicy::kFair;
  });
  add("as traced: fcfs, no prefix cache", [](Scenario* s) {
    s->stretch = 1;
    s->prefix_cache = false;
  });
  return all;
}

int run(const std::string& path, const std::string& only) {
  Result<std::vector<TraceRequest>> trace = read_trace(path);
  if (!trace.ok()) {
    std::fprintf(stderr, "skipped: %s\n", trace.status().message().c_str());
    return 0;
  }
  const Device device;
  const TraceSharing sharing = sharing_of(*trace, kReplayBlock);
  const double possible =
      static_cast<double>(sharing.num_shared_tokens) / static_cast<double>(sharing.num_prompt_tokens);
  const double span = trace->back().arrival_s;
  std::printf(
      "%zu requests in %.0f s: %.0f prompt tokens/s, %.0f output tokens/s; a cache that forgets "
      "nothing could spare %.2f %% of the prompts\n",
      trace->size(), span, static_cast<double>(sharing.num_prompt_tokens) / span,
      static_cast<double>(sharing.num_output_tokens) / span, 100 * possible);
  const int32_t num_blocks = device.num_blocks(kReplayBlock);
  auto share = [&](int32_t blocks) {
    return 100. *
           static_cast<double>(shared_with_memory(*trace, kReplayBlock, int64_t{blocks} * kReplayBlock)) /
           static_cast<double>(sharing.num_prompt_tokens);
  };
  std::printf(
      "the device holds %d blocks = %d tokens; a cache of that size that is nothing else could spare "
      "%.2f %%, of a quarter %.2f %%\n",
      num_blocks, num_blocks * kReplayBlock, share(num_blocks), share(num_blocks / 4));
  const Replay at_once = replay(
      *trace, {.name = "", .scheduler = scheduler_config(), .num_blocks = num_blocks, .stretch = 0}, device);
  constexpr double kLoad = 0.8;
  const double stretch = at_once.duration_s / (kLoad * span);
  std::printf(
      "all at once take %.0f s: the trace asks for %.2f of the device's capacity; below it is "
      "stretched by %.3f, to %.1f of it, but for \"as traced\"\n\n",
      at_once.duration_s, at_once.duration_s / span, stretch, kLoad);
  print_head();
  std::vector<std::pair<std::string, Replay>> with_classes;
  for (const Scenario& scenario : scenarios(device, stretch)) {
    if (scenario.name.find(only) == std::string::npos) continue;
    Replay result = replay(*trace, scenario, device);
    print_row(scenario.name, result, possible);
    with_classes.emplace_back(scenario.name, std::move(result));
  }
  std::puts("");
  for (const auto& [name, result] : with_classes) print_classes(name, result);
  return 0;
}

}  // namespace
}  // namespace pagoda

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: scheduler_replay TRACE.jsonl [part of a scenario's name]\n", stderr);
    return 2;
  }
  return pagoda::run(argv[1], argc > 2 ? argv[2] : "");
}
