#include "tensor/device_memory.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "tensor/host_memory.h"

namespace pagoda {
namespace {

class CpuMemory final : public DeviceMemory {
 public:
  void* allocate(std::size_t bytes) override { return host_memory::allocate(bytes); }
  void* allocate_zeroed(std::size_t bytes) override { return host_memory::allocate_zeroed(bytes); }
  void release(void* data, std::size_t bytes) noexcept override { host_memory::release(data, bytes); }
  void copy_from_host(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void clear(void* data, std::size_t bytes) override { host_memory::clear(data, bytes); }
  const void* host_view(const void* data) const override { return data; }
};

std::byte* offset_by(void* data, std::size_t offset) {
  return static_cast<std::byte*>(data) + offset;
}

}  // namespace

DeviceMemory& cpu_memory() {
  static CpuMemory memory;
  return memory;
}

DeviceBuffer::DeviceBuffer(DeviceMemory& memory, std::size_t bytes)
    : DeviceBuffer(memory, memory.allocate_zeroed(bytes), bytes) {}

DeviceBuffer DeviceBuffer::uninitialized(DeviceMemory& memory, std::size_t bytes) {
  return DeviceBuffer(memory, memory.allocate(bytes), bytes);
}

DeviceBuffer DeviceBuffer::copy_of(DeviceMemory& memory, std::span<const std::byte> host) {
  DeviceBuffer buffer = uninitialized(memory, host.size());
  buffer.copy_from_host(0, host);
  return buffer;
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}
DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}
DeviceBuffer::~DeviceBuffer() {
  if (memory_ != nullptr) memory_->release(data_, bytes_);
}

void DeviceBuffer::copy_from_host(std::size_t offset, std::span<const std::byte> from) {
  PAGODA_CHECK(offset <= bytes_ && from.size() <= bytes_ - offset, "a copy within the buffer");
  if (!from.empty()) memory_->copy_from_host(offset_by(data_, offset), from.data(), from.size());
}

void DeviceBuffer::copy_to_host(std::size_t offset, std::span<std::byte> to) const {
  PAGODA_CHECK(offset <= bytes_ && to.size() <= bytes_ - offset, "a copy within the buffer");
  if (!to.empty()) memory_->copy_to_host(to.data(), offset_by(data_, offset), to.size());
}

void DeviceBuffer::copy(std::size_t to, std::size_t from, std::size_t bytes) {
  PAGODA_CHECK(bytes <= bytes_ && to <= bytes_ - bytes && from <= bytes_ - bytes, "a copy within the buffer");
  if (bytes > 0) memory_->copy(offset_by(data_, to), offset_by(data_, from), bytes);
}

void DeviceBuffer::clear() {
  if (bytes_ > 0) memory_->clear(data_, bytes_);
}

}  // namespace pagoda
