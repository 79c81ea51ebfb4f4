// config.json of a stranger's model.
#include <cstdint>

#include "model/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  (void)pagoda::read_model_spec({reinterpret_cast<const char*>(data), size}, "config.json");
  return 0;
}
