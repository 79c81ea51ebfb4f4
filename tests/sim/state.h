// What the simulation knows of the requests that live in its world.
#pragma once
#include <algorithm>
#include <compare>
#include <cstdint>
#include <vector>

#include "contract/request.h"
#include "contract/token_event.h"

namespace pagoda::sim {

// How often each thing has happened, over all worlds.
struct Counts {
  int64_t worlds = 0, steps = 0, choices = 0, tokens = 0;
  // Decisions: rows of work planned, admissions, preemptions, rejections, endings.
  int64_t rows = 0, admissions = 0, preemptions = 0, rejections = 0, endings = 0;
  int64_t decisions() const { return rows + admissions + preemptions + rejections + endings; }
  int64_t bypasses = 0, forks = 0, failed_forks = 0, copies = 0, holds = 0, closings = 0, clearings = 0;
  int64_t resets = 0;
  // Plans made while another was in flight; times that there was none; steps that computed nothing.
  int64_t overlapped = 0, drains = 0, lost_steps = 0;
  int64_t stops = 0, lengths = 0, aborts = 0, timeouts = 0, errors = 0, finished_from_above = 0;
  int64_t prompt_logprobs = 0, prompt_tokens = 0, hit_tokens = 0, kv_events = 0;
  int64_t stores = 0, loads = 0, spills = 0, fetches = 0, drops = 0, failed_moves = 0, idle_reads = 0,
          images = 0;
  int64_t audits = 0, fairness_checks = 0, starvation_checks = 0, watermark_checks = 0;
  int64_t timed_steps = 0, late_steps = 0;  // under itl_slo_ms: steps that had a bound; those above it
  int64_t with_groups[4] = {}, with_states = 0, state_hit_tokens = 0, replayed_tokens = 0;
  int64_t windowed = 0, no_memory = 0, offloading = 0, with_disk = 0, fair = 0, priority = 0, unchunked = 0,
          by_time = 0;
};

struct Rank {
  int64_t priority = 0;
  uint64_t order = 0;
  auto operator<=>(const Rank&) const = default;
};

struct Outcome {  // what a choice should give, were it alone
  std::vector<TokenId> tokens;
  FinishReason finish = FinishReason::kNone;
  TokenId stop_token = -1;
};

struct Live;
struct Choice {
  Live* live = nullptr;
  int32_t number = 0;
  Rank rank;
  Outcome expected;
  std::size_t num_output = 0;
  uint64_t prefix = 0;  // hash of prompt and output so far
  FinishReason finish = FinishReason::kNone;
  uint64_t event_step = 0;  // the commit that spoke of it last
  // Kept by the invariants.
  int64_t bound = -1;  // the step by which it must have ended; -1: not ready yet
  int32_t row = -1, num_bypassed = 0;
  int32_t num_pending = 0;  // tokens that plans in flight sample
  int64_t num_planned = 0;  // tokens that plans have computed, also those in flight
  bool waiting = false, has_worked = false, was_admitted = false;
};

struct Live {
  RequestId id = 0;
  std::vector<TokenId> prompt;
  SamplingParams params;
  uint64_t tenant = 0, root = 0;
  std::vector<Choice> choices;
  Time deadline = Time::max();
  bool held = false, cancelled = false;
  std::size_t num_prompt_reported = 0;
  uint64_t prompt_prefix = 0;  // hash of prompt 0 .. num_prompt_reported
  uint64_t prompt_hash = 0;    // of all of it
  int32_t num_ended = 0;
  bool ended() const { return num_ended == static_cast<int32_t>(choices.size()); }
};

}  // namespace pagoda::sim
