#include "tensor/host_memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/memory_reserve.h"

namespace pagoda::host_memory {
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

void* allocate(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > SIZE_MAX - 2 * kHugePage) throw std::bad_alloc();
  void* data = bytes >= kHugePage ? map_pages(round_up(bytes, kHugePage))
                                  : std::aligned_alloc(64, round_up(bytes, 64));
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

void* allocate_zeroed(std::size_t bytes) {
  void* data = allocate(bytes);
  if (bytes > 0 && bytes < kHugePage) std::memset(data, 0, bytes);
  return data;
}

void release(void* data, std::size_t bytes) noexcept {
  if (bytes >= kHugePage)
    ::munmap(data, round_up(bytes, kHugePage));
  else
    std::free(data);
}

void clear(void* data, std::size_t bytes) {
  const bool pages = bytes >= kHugePage;
  if (pages && ::madvise(data, round_up(bytes, kHugePage), MADV_DONTNEED) == 0) return;
  if (bytes > 0) std::memset(data, 0, bytes);  // small, or locked in memory
}

}  // namespace pagoda::host_memory
