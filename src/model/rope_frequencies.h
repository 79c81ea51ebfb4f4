#pragma once
#include <vector>

#include "model/config.h"

namespace pagoda {

// Radians per position of each pair of dims that rotate together: [rotary_dim / 2].
std::vector<double> rope_frequencies(const RopeConfig& config);

}  // namespace pagoda
