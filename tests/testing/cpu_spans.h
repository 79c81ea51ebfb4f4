// Host memory as the CPU backend's device memory, which it is.
#pragma once
#include <vector>

#include "tensor/device_memory.h"

namespace pagoda::testing {

template <class T>
DeviceSpan<const T> span_of(const std::vector<T>& numbers) {
  return {numbers.data(), static_cast<int64_t>(numbers.size())};
}
template <class T>
DeviceSpan<const T> span_of(const T* numbers, int64_t count) {
  return {numbers, count};
}

}  // namespace pagoda::testing
