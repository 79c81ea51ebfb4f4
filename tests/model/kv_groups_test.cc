#include "model/kv_groups.h"

#include <gtest/gtest.h>

#include <string>

namespace pagoda {
namespace {

using Needs = std::vector<KvLayerNeed>;

constexpr KvKind kFull = KvKind::kFullAttention, kWindow = KvKind::kSlidingWindow;

// `pattern`, over and over: f full, w window, s state.
Needs layers_of(int count, const std::string& pattern, int32_t window, uint64_t token_bytes,
                uint64_t state_bytes = 0) {
  Needs needs;
  for (int i = 0; i < count; ++i) {
    const char c = pattern[static_cast<std::size_t>(i) % pattern.size()];
    needs.push_back({c == 'f'   ? kFull
                     : c == 'w' ? kWindow
                                : KvKind::kRecurrentState,
                     c == 'w' ? window : 0, c == 's' ? state_bytes : token_bytes});
  }
  return needs;
}

struct Shape {
  const char* name;
  Needs layers;
  std::vector<std::size_t> sizes;  // layers per group
  double max_ratio;                // of the pages' bytes at 32k tokens to what the layers need
};

std::vector<Shape> shapes() {
  return {
      {"Gemma-3-27B", layers_of(62, "wwwwwf", 1024, 16 * 128 * 4), {10, 8, 9, 9, 8, 9, 9}, 1.03},
      {"Gemma-3-12B", layers_of(48, "wwwwwf", 1024, 8 * 256 * 4), {8, 8, 8, 8, 8, 8}, 1.03},
      {"gpt-oss-20b", layers_of(24, "wf", 128, 8 * 64 * 4), {12, 12}, 1.03},
      {"Gemma-2-27B", layers_of(46, "wf", 4096, 16 * 128 * 4), {23, 23}, 1.03},
      {"Mistral-7B v0.1", layers_of(32, "w", 4096, 8 * 128 * 4), {32}, 1.03},
      {"Llama-3.2-1B", layers_of(16, "f", 0, 8 * 64 * 4), {16}, 1},
      {"Qwen3-Next: 3 states to 1 attention",
       layers_of(48, "sssf", 0, 2 * 256 * 4, 32 * 128 * 128 * 4),
       {12, 12, 12, 12},
       1.03},
  };
}

TEST(KvGroups, PagesOfEveryShapeHoldWhatItsLayersNeed) {
  for (const Shape& shape : shapes()) {
    const KvGrouping found = group_layers(shape.layers, 16);
    std::vector<std::size_t> sizes;
    std::vector<int> times(shape.layers.size());
    for (const KvGroupSpec& group : found.groups) {
      sizes.push_back(group.layers.size());
      uint64_t bytes = 0;
      for (int32_t layer : group.layers) {
        const KvLayerNeed& need = shape.layers[static_cast<std::size_t>(layer)];
        EXPECT_TRUE(need.kind == group.kind && need.window == group.window) << shape.name;
        bytes += need.kind == KvKind::kRecurrentState ? need.bytes
                                                      : need.bytes * static_cast<uint64_t>(found.block_size);
        ++times[static_cast<std::size_t>(layer)];
      }
      EXPECT_LE(bytes, found.page_bytes) << shape.name;
      EXPECT_EQ(group.block_bytes, found.page_bytes) << shape.name;
    }
    EXPECT_EQ(sizes, shape.sizes) << shape.name;
    EXPECT_EQ(times, std::vector<int>(shape.layers.size(), 1)) << shape.name << ": every layer has a group";
    EXPECT_TRUE(found.groups[0].kind == kFull || found.groups.size() == 1) << shape.name;
    const double ratio = static_cast<double>(grouped_bytes(found.groups, 32768)) /
                         static_cast<double>(needed_bytes(shape.layers, 32768));
    EXPECT_GE(ratio, 1) << shape.name;
    EXPECT_LE(ratio, shape.max_ratio) << shape.name;
    RecordProperty(shape.name, std::to_string(ratio));
  }
}

// One latent vector per token and layer (DeepSeek-V3: 512 + 64 numbers): one kind, one group.
TEST(KvGroups, LatentVectorsAreAKindOfTheirOwn) {
  const Needs needs(61, {KvKind::kMlaLatent, 0, 576 * 2});
  const KvGrouping found = group_layers(needs, 64);
  ASSERT_EQ(found.groups.size(), 1u);
  EXPECT_EQ(found.groups[0].kind, KvKind::kMlaLatent);
  EXPECT_EQ(found.page_bytes, 61u * 64 * 576 * 2);
}

TEST(KvGroups, ABlockHoldsAtLeastOneState) {
  const KvGrouping found = group_layers(layers_of(4, "sssf", 0, 100, 16 * 100 * 3 - 50), 16);
  EXPECT_EQ(found.block_size, 48);
  EXPECT_EQ(found.page_bytes, 4800u);
  EXPECT_EQ(found.groups.size(), 4u);
  const KvGrouping states = group_layers(layers_of(4, "s", 0, 0, 5000), 16);
  EXPECT_EQ(states.block_size, 16);
  EXPECT_EQ(states.groups.size(), 1u);
}

TEST(KvGroups, LayersOfUnequalBytesShareThePool) {
  Needs needs = layers_of(12, "wwf", 512, 100);
  for (KvLayerNeed& need : needs)
    if (need.kind == kFull) need.bytes = 400;  // as many bytes in one layer as four windows take
  const KvGrouping found = group_layers(needs, 16);
  EXPECT_LE(static_cast<double>(grouped_bytes(found.groups, 32768)),
            1.03 * static_cast<double>(needed_bytes(needs, 32768)));
}

// A layer looks window - 1 positions back, at what the layer before it has made of as many before those.
TEST(KvGroups, AReplayIsAsLongAsWhatWindowsShow) {
  auto replay = [](const Needs& needs) { return replay_tokens(group_layers(needs, 16).groups); };
  EXPECT_EQ(replay(layers_of(24, "wf", 128, 100)), 12 * 127);
  EXPECT_EQ(replay(layers_of(62, "wwwwwf", 1024, 100)), 52 * 1023);
  EXPECT_EQ(replay(layers_of(32, "w", 4096, 100)), 0) << "nothing would be cached";
  EXPECT_EQ(replay(layers_of(32, "f", 0, 100)), 0);
  EXPECT_EQ(replay(layers_of(12, "swf", 128, 100, 100)), 0) << "a state is not in the windows";
}

TEST(KvGroups, AModelsLayersKnowTheirGroup) {
  ModelConfig config;
  config.layers.resize(6);
  for (LayerConfig& layer : config.layers)
    layer.attention = {.num_heads = 2, .num_kv_heads = 2, .head_dim = 8};
  for (std::size_t i : {0, 1, 3, 4}) config.layers[i].attention.window = 64;
  assign_kv_groups(&config);
  std::vector<int32_t> groups;
  for (const LayerConfig& layer : config.layers) groups.push_back(layer.kv_group);
  EXPECT_EQ(groups, (std::vector<int32_t>{1, 1, 0, 2, 2, 0}));
  const uint64_t bytes[] = {10, 10, 10, 10, 10, 10};
  const std::vector<KvGroupSpec> specs = kv_groups(config, 4, bytes);
  ASSERT_EQ(specs.size(), 3u);
  EXPECT_EQ(specs[0].layers, (std::vector<int32_t>{2, 5}));
  EXPECT_EQ(specs[2].layers, (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(specs[1].window, 64);
  for (const KvGroupSpec& spec : specs) {
    EXPECT_EQ(spec.block_bytes, 20u);
    EXPECT_EQ(spec.block_size, 4);
  }
}

}  // namespace
}  // namespace pagoda
