// A reserve of address space for running out of memory. Two threads cannot fail in the middle of their work:
// the engine's, which owns the state of all requests, and the publisher's. Where an allocation of theirs
// fails, a piece of the reserve is unmapped and the allocation is retried; the engine, told by
// memory_is_short(), refills the reserve between two steps, and ends requests while that is not possible. On
// all other threads an allocation fails with std::bad_alloc, and with it the one request it was for.
#pragma once
#include <cstddef>

#include "base/thread_pool.h"

namespace pagoda {

inline constexpr std::size_t kReserveBytes = std::size_t{32} << 20;

// Puts by so many bytes (the first call says how many), or a quarter of them where others would be left with
// less than that; false: not even so many are there. Installs the new-handler.
bool keep_memory_reserve(std::size_t bytes = kReserveBytes) noexcept;
// Some of the reserve has been given out, and not been put by again.
bool memory_is_short() noexcept;
// From here on allocations of this thread may take the reserve.
void let_this_thread_use_the_reserve() noexcept;
// The same for as long as it lives: for telling a request that there is no memory for it.
class UseOfReserve {
 public:
  UseOfReserve() noexcept;
  ~UseOfReserve();
  UseOfReserve(const UseOfReserve&) = delete;
  UseOfReserve& operator=(const UseOfReserve&) = delete;

 private:
  const bool before_;
};
// The opposite, on such a thread: for what is large, and fails one request where it finds no memory.
class KeepOffReserve {
 public:
  KeepOffReserve() noexcept;
  ~KeepOffReserve();
  KeepOffReserve(const KeepOffReserve&) = delete;
  KeepOffReserve& operator=(const KeepOffReserve&) = delete;

 private:
  const bool before_;
};
// What operator new does when there is no memory; for code that allocates in another way. False: give up.
bool make_room_for_allocation() noexcept;

// For what has to happen though there is no memory, and can be done again where it fails: with the reserve,
// and if that is not enough a few times more while others give theirs back. False: not even so.
bool insist(FunctionRef<void()> work) noexcept;
// Whether so much could be allocated now.
bool has_room_for(std::size_t bytes) noexcept;

// Where the address space is limited (RLIMIT_AS), all threads allocate from one heap: one for each takes 64
// MiB of it, and none can use what another has free. To be called before there are threads.
void share_one_heap_under_a_limit() noexcept;

}  // namespace pagoda
