#include "base/status.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return invalid_argument("odd", "number");
  return number / 2;
}
Result<int> quarter(int number) {
  PAGODA_TRY(int once, half(number));
  PAGODA_TRY(int twice, half(once));
  return twice;
}

TEST(Status, TryPassesValuesOnAndErrorsOut) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).status().message(), "odd");
  EXPECT_EQ(quarter(6).status().param(), "number");
  EXPECT_EQ(quarter(7).status().with_context("quarter").message(), "quarter: odd");
}

}  // namespace
}  // namespace pagoda
