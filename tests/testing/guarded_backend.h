// A second backend, odd on purpose: its ops are the CPU's, but the host may not touch its memory. The pages
// are closed (PROT_NONE) except while an op or a copy runs, and every operand of an op must lie in them. What
// runs on it and gives the CPU's bits reaches into no device memory, and hands no host memory to an op.
#pragma once
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "ops/attention.h"
#include "ops/cpu/cpu_stream.h"
#include "ops/cpu/input.h"
#include "ops/moe.h"
#include "ops/op_table.h"
#include "ops/rope.h"

namespace pagoda::testing {

class GuardedMemory final : public DeviceMemory {
 public:
  // One for the process: what it holds may outlive a stream.
  static GuardedMemory& instance() {
    static auto* const memory = new GuardedMemory;
    return *memory;
  }

  void* allocate(std::size_t bytes) override {
    const std::lock_guard lock(mutex_);
    const std::size_t size = (bytes + 63) / 64 * 64;
    if (auto found = free_.find(size); found != free_.end()) {
      void* data = found->second;
      free_.erase(found);
      return data;
    }
    if (size > kBytes - used_) throw std::bad_alloc();
    return begin_ + used_.fetch_add(size);
  }
  void* allocate_zeroed(std::size_t bytes) override {
    void* data = allocate(bytes);
    clear(data, bytes);
    return data;
  }
  void release(void* data, std::size_t bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    free_.emplace((bytes + 63) / 64 * 64, data);
  }
  void copy_from_host(void* to, const void* from, std::size_t bytes) override {
    check(to, bytes);
    const Opened opened(*this);
    std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override {
    check(from, bytes);
    const Opened opened(*this);
    std::memcpy(to, from, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    check(to, bytes);
    check(from, bytes);
    const Opened opened(*this);
    std::memcpy(to, from, bytes);
  }
  void clear(void* data, std::size_t bytes) override {
    check(data, bytes);
    const Opened opened(*this);
    std::memset(data, 0, bytes);
  }
  const void* host_view(const void*) const override { return nullptr; }

  void check(const void* data, std::size_t bytes) const {
    const auto* first = static_cast<const std::byte*>(data);
    PAGODA_CHECK(bytes == 0 || (first >= begin_ && first + bytes <= begin_ + used_), "memory of the device");
  }

  // The pages are open while one of these lives.
  class Opened {
   public:
    explicit Opened(GuardedMemory& memory) : memory_(memory) { memory_.open(1); }
    ~Opened() { memory_.open(-1); }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

   private:
    GuardedMemory& memory_;
  };

 private:
  static constexpr std::size_t kBytes = std::size_t{1} << 30;  // of address space
  GuardedMemory() {
    void* found = ::mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) std::abort();
    begin_ = static_cast<std::byte*>(found);
  }
  void open(int change) {
    const std::lock_guard lock(mutex_);
    const int before = num_open_;
    num_open_ += change;
    if ((before == 0) == (num_open_ == 0)) return;
    if (::mprotect(begin_, kBytes, num_open_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE) != 0) std::abort();
  }

  std::mutex mutex_;
  std::byte* begin_ = nullptr;
  std::atomic<std::size_t> used_ = 0;
  int num_open_ = 0;
  std::multimap<std::size_t, void*> free_;  // by size
};

// Operands of ops; what is none is let through.
template <class T>
void check_operand(const GuardedMemory&, const T&) {}
inline void check_operand(const GuardedMemory& memory, const Tensor& tensor) {
  if (tensor.rows() == 0) return;
  const auto elements = static_cast<std::size_t>((tensor.rows() - 1) * tensor.row_stride + tensor.columns());
  memory.check(tensor.data, elements * dtype_bytes(tensor.dtype));
}
template <class T>
void check_operand(const GuardedMemory& memory, const DeviceSpan<T>& span) {
  memory.check(span.data, static_cast<std::size_t>(span.size) * sizeof(T));
}
inline void check_operand(const GuardedMemory& memory, const MatmulInput& input) {
  const cpu::RowLayout layout = cpu::layout_of(input);
  memory.check(layout.data, static_cast<std::size_t>(input.rows * layout.row_bytes));
}
inline void check_operand(const GuardedMemory& memory, const PackedWeight& weight) {
  check_operand(memory, weight.payload());
}
inline void check_operand(const GuardedMemory& memory, const RopeTable& table) {
  check_operand(memory, table.cos());
  check_operand(memory, table.sin());
}
inline void check_operand(const GuardedMemory& memory, const KvLayerView& kv) {
  memory.check(kv.data, 1);
}
inline void check_operand(const GuardedMemory& memory, const AttnBatch& batch) {
  check_operand(memory, batch.query_start_loc);
  check_operand(memory, batch.seq_lens);
  check_operand(memory, batch.block_table);
  check_operand(memory, batch.table_rows);
  check_operand(memory, batch.slot_mapping);
}

inline void check_operand(const GuardedMemory& memory, const ExpertShare& share) {
  check_operand(memory, share.rows);
  check_operand(memory, share.weights);
  check_operand(memory, share.is_first);
}

// The CPU's op of the same place in the table, between opening and closing the memory.
template <auto op>
struct GuardedOp;
template <class R, class... Args, R (*OpTable::*op)(Args...)>
struct GuardedOp<op> {
  static R call(Args... args) {
    GuardedMemory& memory = GuardedMemory::instance();
    (check_operand(memory, args), ...);
    const GuardedMemory::Opened opened(memory);
    return (cpu_ops().*op)(std::forward<Args>(args)...);
  }
};

// A file's weight does not lie in the device's memory: it is copied there.
inline std::unique_ptr<PackedWeight> adopt_by_copy(const PackedWeight::Header& header,
                                                   std::span<const std::byte> payload,
                                                   std::shared_ptr<const void>, ComputeStream& stream) {
  auto buffer = std::make_shared<DeviceBuffer>(DeviceBuffer::copy_of(stream.memory(), payload));
  const std::span<const std::byte> there(static_cast<const std::byte*>(buffer->data()), buffer->bytes());
  return cpu_ops().adopt_packed(header, there, std::move(buffer), stream);
}

// Its blocks of the cache are larger than the CPU's: sizes, too, are those of the backend at hand.
inline std::size_t guarded_kv_block_bytes(const KvLayout& layout) {
  return cpu_ops().kv_block_bytes(layout) + 192;
}

inline const OpTable& guarded_ops() {
  static constexpr OpTable kTable{.name = "guarded",
                                  .packed_bytes = GuardedOp<&OpTable::packed_bytes>::call,
                                  .max_input_bytes = GuardedOp<&OpTable::max_input_bytes>::call,
                                  .kv_block_bytes = guarded_kv_block_bytes,
                                  .pack_weight = GuardedOp<&OpTable::pack_weight>::call,
                                  .adopt_packed = adopt_by_copy,
                                  .pack_bias = GuardedOp<&OpTable::pack_bias>::call,
                                  .convert_input = GuardedOp<&OpTable::convert_input>::call,
                                  .matmul = GuardedOp<&OpTable::matmul>::call,
                                  .embedding = GuardedOp<&OpTable::embedding>::call,
                                  .rms_norm = GuardedOp<&OpTable::rms_norm>::call,
                                  .rms_norm_add = GuardedOp<&OpTable::rms_norm_add>::call,
                                  .rms_norm_heads = GuardedOp<&OpTable::rms_norm_heads>::call,
                                  .rope = GuardedOp<&OpTable::rope>::call,
                                  .gather_rows = GuardedOp<&OpTable::gather_rows>::call,
                                  .choose_experts = GuardedOp<&OpTable::choose_experts>::call,
                                  .gather_input = GuardedOp<&OpTable::gather_input>::call,
                                  .scatter_rows = GuardedOp<&OpTable::scatter_rows>::call,
                                  .kv_store = GuardedOp<&OpTable::kv_store>::call,
                                  .paged_attention = GuardedOp<&OpTable::paged_attention>::call,
                                  .argmax = GuardedOp<&OpTable::argmax>::call,
                                  .mask_logits = GuardedOp<&OpTable::mask_logits>::call,
                                  .soft_cap = GuardedOp<&OpTable::soft_cap>::call,
                                  .add_scaled = GuardedOp<&OpTable::add_scaled>::call};
  return kTable;
}

class GuardedStream final : public CpuStream {
 public:
  explicit GuardedStream(int num_threads) : GuardedStream(std::make_unique<ComputePool>(num_threads)) {}
  std::string kernels_name() const override { return "guarded"; }

 private:
  explicit GuardedStream(std::unique_ptr<ComputePool> pool)
      : CpuStream(guarded_ops(), GuardedMemory::instance(), pool.get()), pool_(std::move(pool)) {}
  std::unique_ptr<ComputePool> pool_;
};

// For tests that run on both.
enum class Backend { kCpu, kGuarded };
inline std::unique_ptr<ComputeStream> make_stream(Backend backend, int num_threads) {
  if (backend == Backend::kGuarded) return std::make_unique<GuardedStream>(num_threads);
  return std::make_unique<CpuStream>(num_threads);
}
inline std::string backend_name(Backend backend) {
  return backend == Backend::kCpu ? "cpu" : "guarded";
}

}  // namespace pagoda::testing
