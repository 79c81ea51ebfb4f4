// Bounds on time in tests are multiples of this: about how much longer computations may take in this build
// than in release.
#pragma once

namespace pagoda::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
inline constexpr int kSlowdown = 10;
#else
inline constexpr int kSlowdown = 1;
#endif

}  // namespace pagoda::testing
