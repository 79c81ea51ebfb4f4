#pragma once
#include <vector>

#include "tensor/device_memory.h"

namespace pagoda {

// An array that the host fills, step after step, and ops read. Keeps its memory on both sides.
template <class T>
class StagedArray {
 public:
  std::vector<T>& host() { return host_; }
  const std::vector<T>& host() const { return host_; }
  // What host() holds, as ops see it; valid until the next upload(). Throws std::bad_alloc.
  DeviceSpan<const T> upload(DeviceMemory& memory) {
    if (device_.bytes() < host_.size() * sizeof(T))
      device_ = DeviceBuffer::uninitialized(memory, host_.capacity() * sizeof(T));
    device_.copy_from_host(0, std::as_bytes(std::span(host_)));
    return {static_cast<const T*>(device_.data()), static_cast<int64_t>(host_.size())};
  }

 private:
  std::vector<T> host_;
  DeviceBuffer device_;
};

}  // namespace pagoda
