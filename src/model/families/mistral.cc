// Mistral (Jiang et al., 2023): Llama's decoder with an optional sliding window over all layers.
#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_mistral_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_common_fields(&reader);
  read_rope(&reader, &spec.config);
  // Absent is the configuration class's default; null is none.
  const int64_t fallback = config.find("sliding_window") == nullptr ? 4096 : 0;
  const int64_t window = reader.integer("sliding_window", fallback, 1, INT32_MAX);
  read_windows(&reader, &spec.config, window, [](std::size_t) { return true; });
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
