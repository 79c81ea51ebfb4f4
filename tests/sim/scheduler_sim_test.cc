// The simulator: worlds drawn from seeds, run until PAGODA_SIM_DECISIONS decisions have been made (a row of
// work planned, an admission, a preemption, a rejection or an ending). A failure, also one of PAGODA_CHECK,
// names its seed; PAGODA_SIM_SEED runs that world alone. PAGODA_SIM_FIRST: the first seed of a run.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>

#include "base/env.h"
#include "tests/sim/world.h"

namespace pagoda::sim {
namespace {

char seed_line[96];

// A failed PAGODA_CHECK aborts: whose seed it was is said all the same.
void tell_seed(int) {
  const auto length = static_cast<std::size_t>(std::snprintf(nullptr, 0, "%s", seed_line));
  if (write(STDERR_FILENO, seed_line, length) < 0) _exit(2);
  std::signal(SIGABRT, SIG_DFL);
  std::raise(SIGABRT);
}

uint64_t number_from(const char* name, uint64_t otherwise) {
  const std::optional<std::string> value = environment(name);
  return value ? std::stoull(*value) : otherwise;
}

void print(const Counts& c) {
  auto line = [](const char* name, std::initializer_list<std::pair<const char*, int64_t>> numbers) {
    std::string text = std::string(name) + ":";
    for (const auto& [what, number] : numbers) text += " " + std::string(what) + " " + std::to_string(number);
    std::fprintf(stderr, "%s\n", text.c_str());
  };
  line("decisions", {{"all", c.decisions()},
                     {"rows", c.rows},
                     {"admissions", c.admissions},
                     {"preemptions", c.preemptions},
                     {"rejections", c.rejections},
                     {"endings", c.endings}});
  line("worlds", {{"all", c.worlds},
                  {"fair", c.fair},
                  {"priority", c.priority},
                  {"unchunked", c.unchunked},
                  {"by time", c.by_time},
                  {"windowed", c.windowed},
                  {"with states", c.with_states},
                  {"of 1 group", c.with_groups[1]},
                  {"of 2", c.with_groups[2]},
                  {"of 3", c.with_groups[3]},
                  {"offload", c.offloading},
                  {"disk", c.with_disk},
                  {"without memory at times", c.no_memory}});
  line("work", {{"steps", c.steps},
                {"choices", c.choices},
                {"tokens", c.tokens},
                {"prompt", c.prompt_tokens},
                {"of them hit", c.hit_tokens},
                {"of them hit beside a state", c.state_hit_tokens},
                {"replayed", c.replayed_tokens},
                {"prompt log-probabilities", c.prompt_logprobs},
                {"images", c.images},
                {"made in flight", c.overlapped},
                {"drains", c.drains},
                {"lost", c.lost_steps}});
  line("turns", {{"bypasses", c.bypasses},
                 {"forks", c.forks},
                 {"failed forks", c.failed_forks},
                 {"copies", c.copies},
                 {"holds", c.holds},
                 {"closings", c.closings},
                 {"preempt_all", c.clearings},
                 {"resets", c.resets},
                 {"cache events", c.kv_events}});
  line("ends", {{"stop", c.stops},
                {"length", c.lengths},
                {"abort", c.aborts},
                {"timeout", c.timeouts},
                {"error", c.errors},
                {"finished from above", c.finished_from_above}});
  line("offload", {{"stores", c.stores},
                   {"loads", c.loads},
                   {"spills", c.spills},
                   {"fetches", c.fetches},
                   {"drops", c.drops},
                   {"failed", c.failed_moves},
                   {"idle_reads", c.idle_reads}});
  line("invariants", {{"audits", c.audits},
                      {"fairness", c.fairness_checks},
                      {"starvation", c.starvation_checks},
                      {"watermark", c.watermark_checks},
                      {"steps with a latency bound", c.timed_steps},
                      {"late", c.late_steps}});
}

class SchedulerSim : public ::testing::TestWithParam<int> {};

TEST_P(SchedulerSim, InvariantsHoldInEveryWorld) {
  const uint64_t only = number_from("PAGODA_SIM_SEED", 0);
  const auto most = static_cast<int64_t>(number_from("PAGODA_SIM_DECISIONS", 300'000));
  std::signal(SIGABRT, tell_seed);
  Counts counts;
  for (uint64_t seed = only != 0 ? only : number_from("PAGODA_SIM_FIRST", 1);; ++seed) {
    std::snprintf(seed_line, sizeof seed_line, "seed %llu: run it alone with PAGODA_SIM_SEED=%llu\n",
                  static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
    SCOPED_TRACE(seed_line);
    World(draw_world(seed, GetParam()), &counts).run();
    if (HasFailure()) {
      std::fputs(seed_line, stderr);
      break;
    }
    if (only != 0 || counts.decisions() >= most) break;
  }
  std::signal(SIGABRT, SIG_DFL);
  print(counts);
  if (only != 0 || HasFailure()) return;
  // The worlds are wild enough to be worth the while.
  const int64_t unit = most / 300'000;
  EXPECT_GE(counts.preemptions, 800 * unit);
  EXPECT_GE(counts.bypasses, 1000 * unit);
  EXPECT_GE(counts.hit_tokens, 50000 * unit);
  EXPECT_GE(counts.state_hit_tokens, 1000 * unit);
  EXPECT_GE(counts.replayed_tokens, 1000 * unit);
  EXPECT_GE(std::min({counts.with_groups[1], counts.with_groups[2], counts.with_groups[3]}), 5 * unit);
  EXPECT_GE(counts.forks, 1000 * unit);
  EXPECT_GE(counts.copies, 1000 * unit);
  EXPECT_GE(counts.loads, 150 * unit);
  EXPECT_GE(counts.images, 500 * unit);
  EXPECT_GE(counts.idle_reads, 10 * unit);
  EXPECT_GE(counts.spills, 200 * unit);
  EXPECT_GE(counts.fairness_checks, 500 * unit);
  EXPECT_GE(counts.starvation_checks, 2000 * unit);
  EXPECT_GE(counts.watermark_checks, 500 * unit);
  EXPECT_LE(counts.late_steps * 100, counts.timed_steps) << "the latency bound is missed more than rarely";
  EXPECT_GE(counts.lost_steps, 10 * unit);
  if (GetParam() == 1) return;
  EXPECT_GE(counts.overlapped * 2, counts.steps) << "most plans are made while a step runs";
  EXPECT_GE(counts.drains, 1000 * unit);
}

INSTANTIATE_TEST_SUITE_P(PlansInFlight, SchedulerSim, ::testing::Values(1, 2));

}  // namespace
}  // namespace pagoda::sim
