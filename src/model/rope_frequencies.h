#pragma once
#include <cstdint>
#include <vector>

#include "model/config.h"

namespace pagoda {

// Radians per position of each pair of dims that rotate together: [rotary_dim / 2]. Chosen once for all
// contexts of up to max_positions: cached keys keep their angles.
std::vector<double> rope_frequencies(const RopeConfig& config, int64_t max_positions);

}  // namespace pagoda
