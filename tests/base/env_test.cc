#include "base/env.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

TEST(Env, LimitsAreSane) {
  EXPECT_GE(usable_cpu_count(), 1);
  EXPECT_LE(usable_cpu_count(), static_cast<int>(allowed_cpus().size()));
  EXPECT_GT(usable_memory_bytes(), 1u << 20);
  EXPECT_LE(available_memory_bytes(), usable_memory_bytes());
  EXPECT_FALSE(environment("PAGODA_SURELY_NOT_SET").has_value());
}

}  // namespace
}  // namespace pagoda
