#include "assembly/demo_files.h"

#define DEMO_FILE(index, name) extern "C" const char pagoda_demo_##index[], pagoda_demo_##index##_end[];
#include "demo_files.inc"
#undef DEMO_FILE

namespace pagoda {

std::optional<std::string_view> demo_file([[maybe_unused]] std::string_view name) {
#define DEMO_FILE(index, file_name)              \
  if (name == file_name)                         \
    return std::string_view(pagoda_demo_##index, \
                            static_cast<std::size_t>(pagoda_demo_##index##_end - pagoda_demo_##index));
#include "demo_files.inc"
#undef DEMO_FILE
  return std::nullopt;
}

}  // namespace pagoda
