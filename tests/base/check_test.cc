#include "base/check.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

TEST(Check, StopsTheProcessAndSaysWhy) {
  const int blocks = 3;
  PAGODA_CHECK(blocks == 3, "blocks are there");
  EXPECT_DEATH(PAGODA_CHECK(blocks == 4, "blocks are there"), "check_test.cc.*blocks are there .blocks == 4");
}

TEST(Check, DebugChecksCostNothingInRelease) {
  int evaluated = 0;
  PAGODA_DCHECK(++evaluated == 1, "evaluated once");
#ifdef NDEBUG
  EXPECT_EQ(evaluated, 0);
#else
  EXPECT_EQ(evaluated, 1);
  EXPECT_DEATH(PAGODA_DCHECK(evaluated == 2, "evaluated once"), "evaluated once");
#endif
}

}  // namespace
}  // namespace pagoda
