// What the parts of FakeRunner share: fake_runner.cc is plans, rows and samples, fake_runner_kv.cc the
// content of the cache.
#pragma once
#include <cstdint>
#include <string>

#include "tests/testing/fake_runner.h"

namespace pagoda::testing {

inline std::size_t index(int32_t value) {
  return static_cast<std::size_t>(value);
}
inline uint64_t choice_key(RequestId id, int32_t choice) {
  return id * 4096 + static_cast<uint64_t>(choice);
}
inline std::string named(const char* what, int64_t number) {
  return what + std::to_string(number);
}

}  // namespace pagoda::testing
