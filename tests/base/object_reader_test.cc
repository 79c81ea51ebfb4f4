#include "base/object_reader.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

TEST(ObjectReader, NullCountsAsAbsentWhereAValueIsWanted) {
  for (int others : {0, 100}) {  // few members are walked, many are indexed
    Object object;
    for (int i = 0; i < others; ++i) object.append("other" + std::to_string(i), i);
    object.append("a", 1);
    object.append("b", nullptr);
    ObjectReader<const Object> reader(&object, "");
    EXPECT_EQ(reader.get("a")->as_int(), 1);
    EXPECT_EQ(reader.get("b"), nullptr);
    EXPECT_TRUE(reader.find("b")->is_null());
    EXPECT_EQ(reader.find("c"), nullptr);
  }
}

TEST(ObjectReader, TheFirstErrorSticks) {
  Object object;
  object.append("a", 1);
  ObjectReader<Object> reader(&object, "outer");
  EXPECT_EQ(reader.location("a"), "outer.a");
  EXPECT_TRUE(reader.ok());
  reader.fail(invalid_argument("first"));
  reader.fail(invalid_argument("second"));
  EXPECT_EQ(reader.status().message(), "first");
  EXPECT_EQ(reader.get("a"), nullptr) << "as if it were not there";
}

TEST(ObjectReader, ValuesOfAnObjectMayBeMovedOut) {
  Object object;
  object.append("a", std::string(100, 'x'));
  ObjectReader<Object> reader(&object, "");
  const std::string text = std::move(reader.get("a")->as_string());
  EXPECT_EQ(text, std::string(100, 'x'));
  EXPECT_EQ(object.find("a")->as_string(), "");
  EXPECT_EQ(ObjectReader<Object>(nullptr, "").get("a"), nullptr) << "no object";
}

}  // namespace
}  // namespace pagoda
