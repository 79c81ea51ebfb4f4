#include "cli/serve_flags.h"

#include <vector>

namespace pagoda {

std::span<const FlagSpec> serve_flag_table() {
  static const std::vector<FlagSpec> table = [] {
    std::vector<FlagSpec> all;
    for (std::span<const FlagSpec> part : {frontend_flag_table(), model_flag_table(), engine_flag_table()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return table;
}

}  // namespace pagoda
