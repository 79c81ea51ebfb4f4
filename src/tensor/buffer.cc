#include <utility>

#include "tensor/host_memory.h"
#include "tensor/tensor.h"

namespace pagoda {

Buffer::Buffer(std::size_t bytes) : data_(host_memory::allocate_zeroed(bytes)), bytes_(bytes) {}

Buffer Buffer::uninitialized(std::size_t bytes) {
  Buffer buffer;
  buffer.data_ = host_memory::allocate(bytes);
  buffer.bytes_ = bytes;
  return buffer;
}

void Buffer::clear() {
  host_memory::clear(data_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
Buffer::~Buffer() {
  host_memory::release(data_, bytes_);
}

}  // namespace pagoda
