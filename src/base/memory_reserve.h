// What is put by for the hour without memory. Some threads can not stop half way (the engine's, which keeps
// the books of all requests; the publisher's): where an allocation of theirs finds no memory, a reserve of
// address space is given back to the system once, the allocation is tried again, and the engine, told by
// memory_is_short(), ends a request between two steps and puts a new reserve by. Allocations of all other
// threads fail as ever, with std::bad_alloc, and with them the one request they were for.
#pragma once
#include <cstddef>

namespace pagoda {

// Puts by so many bytes, if nothing is; false: they are not there. Installs the new-handler.
bool keep_memory_reserve(std::size_t bytes = std::size_t{64} << 20) noexcept;
// The reserve has been given out, and not been put by again.
bool memory_is_short() noexcept;
// From here on allocations of this thread may take the reserve.
void let_this_thread_use_the_reserve() noexcept;
// The same for as long as it lives: for telling somebody that there is no memory for them.
class UseOfReserve {
 public:
  UseOfReserve() noexcept;
  ~UseOfReserve();
  UseOfReserve(const UseOfReserve&) = delete;
  UseOfReserve& operator=(const UseOfReserve&) = delete;

 private:
  const bool before_;
};
// What operator new does when there is no memory; for who allocates in another way. False: give up.
bool make_room_for_allocation() noexcept;

}  // namespace pagoda
