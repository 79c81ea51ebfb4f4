// What a rendering may use, and the time that it sees.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace pagoda {

struct TemplateLimits {
  int64_t steps_max = 20'000'000;            // evaluated nodes
  int depth_max = 200;                       // nested calls and expressions
  std::size_t output_bytes_max = 64u << 20;  // also the bound of every string built on the way
};

// What strftime_now sees.
struct TemplateClock {
  int64_t unix_s = 0;  // UTC
  std::string fixed;   // if not empty: what strftime_now answers, whatever the format
};

}  // namespace pagoda
