#include "tests/sim/world_config.h"

#include "tests/testing/kv_specs.h"

namespace pagoda::sim {
namespace {

void draw_scheduler(Dice* dice, WorldConfig* world) {
  SchedulerConfig& config = world->scheduler;
  config.max_num_seqs = world->large ? dice->pick(8, 48) : dice->pick(1, 8);
  if (world->large)
    config.max_num_batched_tokens = dice->pick(64, 400);
  else
    config.max_num_batched_tokens = dice->chance(0.3) ? dice->pick(1, 6) : dice->pick(7, 60);
  config.max_model_len = world->large ? dice->pick(60, 300) : dice->pick(4, 60);
  config.long_prefill_token_threshold = dice->chance(0.2) ? dice->pick(1, world->large ? 60 : 9) : 0;
  config.max_overtakes = dice->chance(0.2) ? 0 : dice->pick(1, 12);
  config.policy = static_cast<SchedulingPolicy>(dice->pick(0, 2));
  config.watermark = dice->chance(0.3) ? 0.01 * dice->pick(1, 30) : 0;
  if (dice->chance(0.15)) {
    config.enable_chunked_prefill = false;
    config.max_num_batched_tokens = std::max(config.max_num_batched_tokens, config.max_model_len);
  }
  config.adaptive_chunks = dice->chance(0.4);
  StepClock& clock = world->clock;
  clock.base_ms = 0.5 + 0.1 * dice->pick(0, 60);
  clock.token_ms = clock.base_ms * 0.001 * dice->pick(1, 60);
  clock.context_ms = clock.base_ms * 1e-5 * dice->pick(0, 60);
  clock.pair_ms = clock.base_ms * 1e-5 * dice->pick(0, 60);
  if (config.adaptive_chunks && dice->chance(0.5))
    config.itl_slo_ms = clock.base_ms * (1 + 0.05 * dice->pick(4, 80));
}

void draw_cache(Dice* dice, WorldConfig* world) {
  const int32_t block_size = world->large ? dice->pick(2, 16) : dice->pick(1, 8);
  const int32_t most = world->large ? 60 : 12;
  const int32_t window = dice->pick(1, dice->chance(0.5) ? most : most / 3), num_layers = dice->pick(1, 3);
  world->groups = {testing::full_group(block_size)};
  for (int i = 0; i < 2; ++i) {
    if (dice->chance(0.25))
      world->groups.push_back(testing::window_group(block_size, window, 0, num_layers));
    else if (dice->chance(0.2))
      world->groups.push_back(testing::state_group(block_size));
  }
  if (dice->chance(0.1)) world->groups.erase(world->groups.begin(), world->groups.end() - 1);
  world->num_blocks = 2 + (world->large ? dice->pick(40, dice->chance(0.5) ? 120 : 700)
                                        : dice->pick(1, dice->chance(0.7) ? 20 : 100));
  PrefixCacheConfig& cache = world->cache;
  cache.enabled = dice->chance(0.9);
  cache.hash_algo = static_cast<BlockHashAlgo>(dice->pick(0, 2));
  cache.hash_seed = "sim";
  cache.record_events = dice->chance(0.3);
  cache.residency_sample = dice->chance(0.1) ? 0.5 : 0;
  if (world->groups.size() > 1 && !world->has_states() && dice->chance(0.6))
    for (const KvGroupSpec& group : world->groups)
      cache.replay_tokens += std::max(group.window - 1, 0) * static_cast<int32_t>(group.layers.size());
  if (!cache.enabled || !dice->chance(0.3)) return;
  if (cache.hash_algo == BlockHashAlgo::kXxhash) cache.hash_algo = BlockHashAlgo::kSha256;
  cache.offload_slots = dice->pick(1, world->large ? 300 : 20);
  if (dice->chance(0.5)) cache.offload_disk_slots = dice->pick(1, world->large ? 1000 : 60);
  world->offload = {.num_slots = cache.offload_slots,
                    .end_one_in = static_cast<uint64_t>(dice->pick(1, 6)),
                    .fail_one_in = dice->chance(0.4) ? static_cast<uint64_t>(dice->pick(2, 20)) : 0,
                    .seed = world->seed};
}

// Tenants that compete all the time, and nothing that may go before its turn: the fairness invariant is at
// its sharpest.
void make_contested(Dice* dice, WorldConfig* world) {
  world->num_tenants = dice->pick(2, 5);
  world->scheduler.max_overtakes = 0;
  world->has_forks = false;
  world->cache.offload_disk_slots = 0;
  world->arrival = 0.9;
  world->max_live = dice->pick(12, 60);
  world->num_requests *= world->large ? 3 : 10;
}

}  // namespace

WorldConfig draw_world(uint64_t seed, int max_in_flight) {
  WorldConfig world;
  world.seed = seed;
  Dice dice(seed * 7919 + 1);
  world.large = dice.chance(0.35);
  draw_scheduler(&dice, &world);
  draw_cache(&dice, &world);
  world.model = {.seed = seed,
                 .vocab_size = world.large ? dice.pick(40, 400) : dice.pick(12, 60),
                 .bad_one_in = dice.chance(0.2) ? 150u : 0u};
  world.num_requests = world.large ? dice.pick(100, 400) : dice.pick(40, 120);
  world.max_live = dice.chance(0.3) ? dice.pick(1, 6) : dice.pick(6, world.large ? 120 : 30);
  world.arrival = dice.chance(0.5) ? 0.9 : 0.02 * dice.pick(2, 30);
  world.num_tenants = dice.pick(1, 4);
  world.num_scopes = dice.chance(0.4) ? 1 : dice.pick(2, 5);
  world.has_forks = dice.chance(0.7);
  world.has_images = dice.chance(0.3);
  world.cancel = dice.chance(0.5) ? 0.02 : 0;
  world.close = dice.chance(0.2) ? 0.01 : 0;
  world.preempt_all = dice.chance(0.15) ? 0.01 : 0;
  world.reset = dice.chance(0.2) ? 0.01 : 0;
  world.scheduler.max_in_flight = max_in_flight;
  if (world.scheduler.policy == SchedulingPolicy::kFair && dice.chance(0.5)) make_contested(&dice, &world);
  if (dice.chance(0.1)) world.model.no_memory_one_in = static_cast<uint64_t>(dice.pick(50, 400));
  return world;
}

}  // namespace pagoda::sim
