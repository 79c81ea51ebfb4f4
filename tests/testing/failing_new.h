// An operator new that fails when told to, on the thread that was told, as malloc does when there is no
// memory: it then does what the standard's does (new-handler, try again). Include in one file of a binary
// only: it defines the operators. Not under ThreadSanitizer: there an operator of ours shows it the memory of
// libraries, whose locks it does not see. Tests ask can_allocations_fail() and skip.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {
thread_local int64_t allocations_until_failure = -1;  // counts down; -1: none will fail
std::atomic<bool> allocations_may_fail{false};        // of all threads that were told
std::atomic<int64_t> num_failures{0};

[[maybe_unused]] constexpr bool can_allocations_fail() {
#ifdef __SANITIZE_THREAD__
  return false;
#else
  return true;
#endif
}
}  // namespace

#ifndef __SANITIZE_THREAD__
// Not inlined: else GCC sees malloc's memory go to delete, and warns.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (allocations_until_failure >= 0 && allocations_until_failure-- == 0 && allocations_may_fail) {
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
