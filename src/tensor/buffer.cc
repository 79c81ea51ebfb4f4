#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "tensor/tensor.h"

namespace pagoda {

Buffer::Buffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  data_ = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (data_ == nullptr) throw std::bad_alloc();
  std::memset(data_, 0, bytes);
}
Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
Buffer::~Buffer() { std::free(data_); }

}  // namespace pagoda
