#pragma once
#include <cstddef>
#include <cstdint>

namespace pagoda::cpu {

enum class Elem : uint8_t { kF32, kBF16, kF16 };

inline constexpr int64_t kLanes = 16;  // columns of a weight panel, keys of a K panel, lanes of every sum

constexpr int64_t round_up_lanes(int64_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

}  // namespace pagoda::cpu
