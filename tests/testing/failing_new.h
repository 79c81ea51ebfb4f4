// An operator new that counts, and fails when told to, on the thread that was told, as malloc does when there
// is no memory: it then does what the standard's does (new-handler, try again). Include in one file of a
// binary only: it defines the operators. Not under ThreadSanitizer: there an operator of ours shows it the
// memory of libraries, whose locks it does not see. Tests ask can_allocations_fail() and skip.
#pragma once
#include <cstdlib>
#include <new>

#include "tests/testing/allocations.h"

#ifndef __SANITIZE_THREAD__
// Not inlined: else GCC sees malloc's memory go to delete, and warns.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++num_allocations;
  const bool is_the_one = allocations_until_failure >= 0 && allocations_until_failure-- == 0;
  if ((is_the_one || size >= smallest_failure) && allocations_may_fail) {
    ++num_failures;
    std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// Libraries ask in this way, too, and give back by the operators below.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif
