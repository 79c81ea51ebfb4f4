#include "model/config.h"

#include <algorithm>

namespace pagoda {

std::vector<int32_t> attention_windows(const ModelConfig& config) {
  std::vector<int32_t> windows;
  for (const LayerConfig& layer : config.layers)
    if (std::find(windows.begin(), windows.end(), layer.attention.window) == windows.end())
      windows.push_back(layer.attention.window);
  return windows;
}

void assign_kv_groups(ModelConfig* config) {
  const std::vector<int32_t> windows = attention_windows(*config);
  for (LayerConfig& layer : config->layers)
    layer.kv_group = static_cast<int32_t>(std::find(windows.begin(), windows.end(), layer.attention.window) -
                                          windows.begin());
}

}  // namespace pagoda
