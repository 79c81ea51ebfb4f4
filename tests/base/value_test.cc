#include "base/value.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

TEST(Value, ObjectsKeepOrderAndReplaceInPlace) {
  Object object;
  object.set("b", 1);
  object.set("a", "x");
  object.set("b", 2.5);
  ASSERT_EQ(object.size(), 2u);
  EXPECT_EQ(object.begin()->key, "b");
  EXPECT_EQ(object.find("b")->as_double(), 2.5);
  EXPECT_EQ(object.find("c"), nullptr);
  EXPECT_TRUE(object.erase("b"));
  EXPECT_FALSE(object.erase("b"));
  EXPECT_TRUE(Value(2) == Value(2.0));
  EXPECT_FALSE(Value(1) == Value(true));
}

}  // namespace
}  // namespace pagoda
