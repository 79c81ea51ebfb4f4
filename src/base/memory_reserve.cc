#include "base/memory_reserve.h"

#include <malloc.h>
#include <sys/mman.h>

#include <atomic>
#include <mutex>
#include <new>
#include <utility>

namespace pagoda {
namespace {

std::mutex mutex;
void* reserve = nullptr;        // guarded
std::size_t reserve_bytes = 0;  // guarded
std::atomic<bool> is_short{false};
thread_local bool may_use_reserve = false;

void on_no_memory() {
  if (!make_room_for_allocation()) throw std::bad_alloc();
}

}  // namespace

bool keep_memory_reserve(std::size_t bytes) noexcept {
  std::lock_guard lock(mutex);
  if (reserve != nullptr) return true;
  if (is_short.load()) ::malloc_trim(0);
  void* found = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) return false;
  reserve = found;
  reserve_bytes = bytes;
  is_short.store(false);
  std::set_new_handler(on_no_memory);
  return true;
}

bool memory_is_short() noexcept {
  return is_short.load(std::memory_order_relaxed);
}

void let_this_thread_use_the_reserve() noexcept {
  may_use_reserve = true;
}

UseOfReserve::UseOfReserve() noexcept : before_(std::exchange(may_use_reserve, true)) {}
UseOfReserve::~UseOfReserve() {
  may_use_reserve = before_;
}

bool make_room_for_allocation() noexcept {
  if (!may_use_reserve) return false;
  std::lock_guard lock(mutex);
  if (reserve == nullptr) return false;
  ::munmap(reserve, reserve_bytes);
  reserve = nullptr;
  is_short.store(true);
  return true;
}

}  // namespace pagoda
