#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "tensor/tensor.h"

namespace pagoda {

// Weights are read in short runs all over: with 4 KB pages, translating addresses takes longer than reading.
constexpr std::size_t kHugePage = std::size_t{2} << 20;

Buffer::Buffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  data_ = std::aligned_alloc(alignment, rounded);
  if (data_ == nullptr) throw std::bad_alloc();
  if (bytes >= kHugePage)
    (void)madvise(data_, rounded, MADV_HUGEPAGE);  // a hint; refused where there are none
  std::memset(data_, 0, bytes);
}
Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
Buffer::~Buffer() {
  std::free(data_);
}

}  // namespace pagoda
