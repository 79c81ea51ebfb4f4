#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/memory_reserve.h"
#include "tensor/tensor.h"

namespace pagoda {
namespace {

// Weights are read in short runs all over: with 4 KB pages, translating addresses takes longer than reading.
constexpr std::size_t kHugePage = std::size_t{2} << 20;

constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Fresh pages at a multiple of kHugePage. They read as zero, and each lies on the NUMA node of the thread
// that touches it first.
void* map_pages(std::size_t bytes) {
  const std::size_t mapped = bytes + kHugePage;  // room to choose an aligned beginning
  if (mapped < bytes) throw std::bad_alloc();
  auto map = [mapped] {
    return ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  void* found = map();
  while (found == MAP_FAILED && make_room_for_allocation()) found = map();
  if (found == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<char*>(found);
  const std::size_t before =
      round_up(reinterpret_cast<uintptr_t>(begin), kHugePage) - reinterpret_cast<uintptr_t>(begin);
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + bytes, kHugePage - before);
  (void)::madvise(begin + before, bytes, MADV_HUGEPAGE);  // a hint; refused where there are none
  return begin + before;
}

}  // namespace

Buffer::Buffer(std::size_t bytes) : Buffer(uninitialized(bytes)) {
  if (bytes > 0 && bytes < kHugePage) std::memset(data_, 0, bytes);
}

Buffer Buffer::uninitialized(std::size_t bytes) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  if (bytes > SIZE_MAX - 2 * kHugePage) throw std::bad_alloc();
  buffer.data_ = bytes >= kHugePage ? map_pages(round_up(bytes, kHugePage))
                                    : std::aligned_alloc(64, round_up(bytes, 64));
  if (buffer.data_ == nullptr) throw std::bad_alloc();
  buffer.bytes_ = bytes;
  return buffer;
}

void Buffer::clear() {
  const bool pages = bytes_ >= kHugePage;
  if (pages && ::madvise(data_, round_up(bytes_, kHugePage), MADV_DONTNEED) == 0) return;
  if (bytes_ > 0) std::memset(data_, 0, bytes_);  // small, or locked in memory
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
Buffer::~Buffer() {
  if (bytes_ >= kHugePage)
    ::munmap(data_, round_up(bytes_, kHugePage));
  else
    std::free(data_);
}

}  // namespace pagoda
