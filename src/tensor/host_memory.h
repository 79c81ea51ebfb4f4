// Large blocks of the host's memory; what Buffer and cpu_memory() are made of.
#pragma once
#include <cstddef>

namespace pagoda::host_memory {

// 64-byte aligned, contents undefined; null for 0 bytes. From 2 MB on fresh pages, huge ones where the system
// has them, that read as zero and are taken when first touched. Throws std::bad_alloc.
void* allocate(std::size_t bytes);
void* allocate_zeroed(std::size_t bytes);
void release(void* data, std::size_t bytes) noexcept;
// All zero again; whole pages of a large one go back to the system until they are touched.
void clear(void* data, std::size_t bytes);

}  // namespace pagoda::host_memory
