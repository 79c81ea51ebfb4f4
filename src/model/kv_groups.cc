#include "model/kv_groups.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>

#include "base/check.h"

namespace pagoda {
namespace {

constexpr int64_t kWasteTokens = 32768;
constexpr double kMaxWaste = 0.03;

bool is_state(KvKind kind) {
  return kind == KvKind::kRecurrentState;
}
KvKind kind_of(const LayerConfig& layer) {
  return layer.attention.window > 0 ? KvKind::kSlidingWindow : KvKind::kFullAttention;
}
// By which groups are ordered: those that every hit needs whole come first.
int order_of(KvKind kind) {
  constexpr int kOrder[] = {0, 2, 1, 3};
  return kOrder[static_cast<int>(kind)];
}

// Layers that could share a group.
struct LayerClass {
  KvLayerNeed need;
  std::vector<int32_t> layers;
};

std::vector<LayerClass> classes_of(std::span<const KvLayerNeed> layers) {
  std::vector<LayerClass> classes;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    PAGODA_CHECK(layers[i].bytes > 0, "a layer keeps something");
    auto same = [&](const LayerClass& other) {
      return other.need.kind == layers[i].kind && other.need.window == layers[i].window &&
             other.need.bytes == layers[i].bytes;
    };
    auto it = std::ranges::find_if(classes, same);
    if (it == classes.end()) it = classes.insert(classes.end(), {layers[i], {}});
    it->layers.push_back(static_cast<int32_t>(i));
  }
  std::ranges::stable_sort(classes, {}, [](const LayerClass& one) { return order_of(one.need.kind); });
  return classes;
}

// Bytes of a layer's part of a page.
uint64_t part_bytes(const KvLayerNeed& need, int32_t block_size) {
  return is_state(need.kind) ? need.bytes : need.bytes * static_cast<uint64_t>(block_size);
}

int32_t size_for_states(std::span<const KvLayerNeed> layers, int32_t block_size) {
  uint64_t state = 0, token = std::numeric_limits<uint64_t>::max();
  for (const KvLayerNeed& need : layers) {
    if (is_state(need.kind))
      state = std::max(state, need.bytes);
    else
      token = std::min(token, need.bytes);
  }
  if (state == 0 || token == std::numeric_limits<uint64_t>::max()) return block_size;
  const uint64_t block = token * static_cast<uint64_t>(block_size);
  return block_size * static_cast<int32_t>(std::max<uint64_t>((state + block - 1) / block, 1));
}

// As few groups of each class as pages of `page_bytes` allow, of sizes as equal as can be.
std::vector<KvGroupSpec> split(const std::vector<LayerClass>& classes, int32_t block_size,
                               uint64_t page_bytes) {
  std::vector<KvGroupSpec> groups;
  for (const LayerClass& one : classes) {
    const auto count = static_cast<uint64_t>(one.layers.size());
    const uint64_t per_page = page_bytes / part_bytes(one.need, block_size);
    const uint64_t num_groups = (count + per_page - 1) / per_page;
    for (uint64_t g = 0; g < num_groups; ++g) {
      const auto begin = static_cast<std::ptrdiff_t>(g * count / num_groups);
      const auto end = static_cast<std::ptrdiff_t>((g + 1) * count / num_groups);
      groups.push_back({.kind = one.need.kind,
                        .window = one.need.window,
                        .block_size = block_size,
                        .layers = {one.layers.begin() + begin, one.layers.begin() + end},
                        .block_bytes = page_bytes});
    }
  }
  return groups;
}

// Blocks that a sequence holds when the token after its num_tokens is to be computed.
int64_t blocks_held(const KvGroupSpec& group, int64_t num_tokens) {
  const int64_t all = (num_tokens + group.block_size - 1) / group.block_size;
  if (group.kind == KvKind::kSlidingWindow)
    return all - std::max<int64_t>(num_tokens - group.window + 1, 0) / group.block_size;
  return is_state(group.kind) ? std::min<int64_t>(all, 1) : all;
}

}  // namespace

uint64_t grouped_bytes(std::span<const KvGroupSpec> groups, int64_t num_tokens) {
  uint64_t total = 0;
  for (const KvGroupSpec& group : groups)
    total += static_cast<uint64_t>(blocks_held(group, num_tokens)) * group.block_bytes;
  return total;
}

uint64_t needed_bytes(std::span<const KvLayerNeed> layers, int64_t num_tokens) {
  uint64_t total = 0;
  for (const KvLayerNeed& need : layers) {
    const int64_t tokens = is_state(need.kind)                   ? 1
                           : need.kind == KvKind::kSlidingWindow ? std::min<int64_t>(num_tokens, need.window)
                                                                 : num_tokens;
    total += need.bytes * static_cast<uint64_t>(tokens);
  }
  return total;
}

KvGrouping group_layers(std::span<const KvLayerNeed> layers, int32_t block_size) {
  PAGODA_CHECK(!layers.empty() && block_size > 0, "a model has layers, a block has tokens");
  block_size = size_for_states(layers, block_size);
  const std::vector<LayerClass> classes = classes_of(layers);
  uint64_t least_page = 0;
  for (const LayerClass& one : classes) least_page = std::max(least_page, part_bytes(one.need, block_size));

  const auto needed = static_cast<double>(needed_bytes(layers, kWasteTokens));
  KvGrouping best;
  std::tuple<double, std::size_t, double> best_cost;
  for (const LayerClass& one : classes) {
    for (std::size_t per_page = 1; per_page <= one.layers.size(); ++per_page) {
      const uint64_t page = per_page * part_bytes(one.need, block_size);
      if (page < least_page) continue;
      KvGrouping found = {split(classes, block_size, page), block_size, page};
      const double waste = static_cast<double>(grouped_bytes(found.groups, kWasteTokens)) / needed - 1;
      const std::tuple cost(std::max(waste, kMaxWaste), found.groups.size(), waste);
      if (!best.groups.empty() && cost >= best_cost) continue;
      best = std::move(found);
      best_cost = cost;
    }
  }
  return best;
}

int64_t replay_tokens(std::span<const KvGroupSpec> groups) {
  int64_t tokens = 0;
  bool has_cached = false;
  for (const KvGroupSpec& group : groups) {
    if (is_state(group.kind)) return 0;
    if (group.kind == KvKind::kSlidingWindow)
      tokens += static_cast<int64_t>(group.layers.size()) * (group.window - 1);
    else
      has_cached = true;
  }
  return has_cached ? tokens : 0;
}

void assign_kv_groups(ModelConfig* config) {
  constexpr int32_t kUsualBlock = 16;
  std::vector<KvLayerNeed> needs;
  for (const LayerConfig& layer : config->layers)
    needs.push_back(
        {kind_of(layer), layer.attention.window, static_cast<uint64_t>(layer.attention.kv_size())});
  const KvGrouping grouping = group_layers(needs, kUsualBlock);
  for (std::size_t g = 0; g < grouping.groups.size(); ++g)
    for (int32_t layer : grouping.groups[g].layers)
      config->layers[static_cast<std::size_t>(layer)].kv_group = static_cast<int32_t>(g);
}

void drop_idle_windows(ModelConfig* config, int64_t max_model_len) {
  for (LayerConfig& layer : config->layers)
    if (layer.attention.window >= max_model_len) layer.attention.window = 0;
  assign_kv_groups(config);
}

std::vector<KvGroupSpec> kv_groups(const ModelConfig& config, int32_t block_size,
                                   std::span<const uint64_t> layer_bytes) {
  PAGODA_CHECK(layer_bytes.size() == config.layers.size(), "bytes of every layer");
  std::vector<KvGroupSpec> groups;
  std::vector<uint64_t> sums;
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    const LayerConfig& layer = config.layers[i];
    const auto g = static_cast<std::size_t>(layer.kv_group);
    if (g >= groups.size()) groups.resize(g + 1), sums.resize(g + 1);
    groups[g].kind = kind_of(layer);
    groups[g].window = layer.attention.window;
    groups[g].block_size = block_size;
    groups[g].layers.push_back(static_cast<int32_t>(i));
    sums[g] += layer_bytes[i];
  }
  for (KvGroupSpec& group : groups) group.block_bytes = std::ranges::max(sums);
  return groups;
}

}  // namespace pagoda
