// Memory of a compute device. What lies there is read and written by ops and by the copies below, never by
// the host's own code, on the CPU either, where an address happens to be the host's as well.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace pagoda {

// The allocator of one device and the way in and out of its memory. Copies are complete when they return and
// may be made from several threads at a time.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  // Aligned to 64 bytes. Throws std::bad_alloc.
  virtual void* allocate(std::size_t bytes) = 0;  // contents undefined
  virtual void* allocate_zeroed(std::size_t bytes) = 0;
  virtual void release(void* data, std::size_t bytes) noexcept = 0;
  virtual void copy_from_host(void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;  // within the device's memory
  // All of an allocation zero again; whole pages of a large one may go back to the system until they are
  // touched.
  virtual void clear(void* data, std::size_t bytes) = 0;
  // Where the host may read what lies at `data`; null: only in a copy.
  virtual const void* host_view(const void* data) const = 0;
};
DeviceMemory& cpu_memory();

// `size` elements side by side in device memory. Owns nothing.
template <class T>
struct DeviceSpan {
  T* data = nullptr;
  int64_t size = 0;
  bool empty() const { return size == 0; }
  operator DeviceSpan<const T>() const { return {data, size}; }
};

// Bytes of a device's memory. Throws std::bad_alloc.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(DeviceMemory& memory, std::size_t bytes);  // zeroed
  static DeviceBuffer uninitialized(DeviceMemory& memory, std::size_t bytes);
  static DeviceBuffer copy_of(DeviceMemory& memory, std::span<const std::byte> host);
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  ~DeviceBuffer();

  void* data() const { return data_; }  // an address of the device
  std::size_t bytes() const { return bytes_; }
  template <class T>
  DeviceSpan<T> span() const {
    return {static_cast<T*>(data_), static_cast<int64_t>(bytes_ / sizeof(T))};
  }
  // Requires: within the buffer.
  void copy_from_host(std::size_t offset, std::span<const std::byte> from);
  void copy_to_host(std::size_t offset, std::span<std::byte> to) const;
  // Of this buffer; the two do not overlap.
  void copy(std::size_t to, std::size_t from, std::size_t bytes);
  void clear();

 private:
  DeviceBuffer(DeviceMemory& memory, void* data, std::size_t bytes)
      : memory_(&memory), data_(data), bytes_(bytes) {}
  DeviceMemory* memory_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace pagoda
