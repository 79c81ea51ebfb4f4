// What the operators of failing_new.h are told and tell, for all files of a binary one of which includes
// them.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

inline std::atomic<int64_t> num_allocations{0};  // of all threads
inline std::atomic<int64_t> num_failures{0};
inline std::atomic<bool> allocations_may_fail{false};         // of all threads that were told
inline thread_local int64_t allocations_until_failure = -1;   // counts down; -1: none will fail
inline thread_local std::size_t smallest_failure = SIZE_MAX;  // bytes; all of so many and more fail

constexpr bool can_allocations_fail() {
#ifdef __SANITIZE_THREAD__
  return false;
#else
  return true;
#endif
}
