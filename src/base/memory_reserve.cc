#include "base/memory_reserve.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

namespace pagoda {
namespace {

// Given out piece by piece: all of it at once another thread's heap would take, which grows by 64 MiB.
constexpr std::size_t kPieces = 16, kEnough = kPieces / 4;
constexpr int kAttempts = 20;
constexpr std::chrono::milliseconds kPause{5};

std::mutex mutex;
std::array<void*, kPieces> pieces{};  // guarded; null: given out
std::size_t piece_bytes = 0;          // guarded
std::atomic<bool> is_short{false};
thread_local bool may_use_reserve = false;

void* map(std::size_t bytes) {
  void* found = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return found == MAP_FAILED ? nullptr : found;
}

void on_no_memory() {
  if (!make_room_for_allocation()) throw std::bad_alloc();
}

}  // namespace

bool keep_memory_reserve(std::size_t bytes) noexcept {
  std::lock_guard lock(mutex);
  if (is_short.load()) ::malloc_trim(0);
  if (piece_bytes == 0) piece_bytes = std::max<std::size_t>(bytes / kPieces, 1);
  auto num_kept = static_cast<std::size_t>(std::ranges::count_if(pieces, [](void* piece) { return piece; }));
  void* for_others = nullptr;  // more than enough only beside as much again
  for (void*& piece : pieces) {
    if (piece != nullptr) continue;
    const bool would_take_theirs = num_kept >= kEnough && for_others == nullptr;
    if (would_take_theirs && (for_others = map(kPieces * piece_bytes)) == nullptr) break;
    if ((piece = map(piece_bytes)) == nullptr) break;
    ++num_kept;
  }
  if (for_others != nullptr) ::munmap(for_others, kPieces * piece_bytes);
  if (num_kept < kEnough) return false;
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

KeepOffReserve::KeepOffReserve() noexcept : before_(std::exchange(may_use_reserve, false)) {}
KeepOffReserve::~KeepOffReserve() {
  may_use_reserve = before_;
}

bool make_room_for_allocation() noexcept {
  if (!may_use_reserve) return false;
  std::lock_guard lock(mutex);
  for (void*& piece : pieces) {
    if (piece == nullptr) continue;
    ::munmap(std::exchange(piece, nullptr), piece_bytes);
    is_short.store(true);
    return true;
  }
  return false;
}

bool insist(FunctionRef<void()> work) noexcept {
  UseOfReserve to_do_it;
  for (int attempt = 1;; ++attempt) {
    try {
      work();
      return true;
    } catch (const std::bad_alloc&) {
      if (attempt == kAttempts) return false;
    } catch (...) {
      return false;
    }
    std::this_thread::sleep_for(kPause);  // others give memory back in the meantime
  }
}

bool has_room_for(std::size_t bytes) noexcept {
  void* found = map(bytes);
  if (found != nullptr) ::munmap(found, bytes);
  return found != nullptr;
}

void share_one_heap_under_a_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) ::mallopt(M_ARENA_MAX, 1);
}

}  // namespace pagoda
