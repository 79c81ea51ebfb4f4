// Invariants of our own code: one that fails means that we are wrong, never that the input is (a Status).
// CHECK is on in every build; DCHECK, for the hottest loops, where NDEBUG is not defined: not in release.
#pragma once

namespace pagoda {

// Prints the message and aborts. Kept out of line so that a check costs one predictable branch.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const char* message);

}  // namespace pagoda

#define PAGODA_CHECK(condition, message)                               \
  do {                                                                 \
    if (!(condition)) [[unlikely]]                                     \
      ::pagoda::check_failed(__FILE__, __LINE__, #condition, message); \
  } while (0)

#ifdef NDEBUG
#define PAGODA_DCHECK(condition, message) ((void)0)
#else
#define PAGODA_DCHECK(condition, message) PAGODA_CHECK(condition, message)
#endif
