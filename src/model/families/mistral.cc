// Mistral (Jiang et al., 2023): Llama's decoder with an optional sliding window over all layers.
#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_mistral_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_common_fields(&reader, {.num_kv_heads = 8, .context_length = 131072});
  read_rope(&reader, &spec.config);
  read_windows(&reader, &spec.config, 4096, [](std::size_t) { return true; });
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
