#include "base/value.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>

#include "base/hash.h"
#include "base/json.h"
#include "base/rng.h"
#include "tests/testing/slowdown.h"

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
  EXPECT_TRUE(Value(2) == Value(2.0));
  EXPECT_FALSE(Value(1) == Value(true));
}

// Random keys set, some of them again, against std::map; at sizes below, at and above the one that gets an
// index.
TEST(Value, ObjectsFindWhatWasSetAtAnySize) {
  SplitMix64 random(7);
  for (std::size_t count : {1u, 15u, 16u, 17u, 18u, 100u, 3000u}) {
    Object object;
    std::map<std::string, int64_t> expected;
    std::vector<std::string> order;
    for (std::size_t i = 0; i < count * 2; ++i) {
      std::string key = "key" + std::to_string(random.next() % count);
      auto number = static_cast<int64_t>(i);
      if (expected.insert_or_assign(key, number).second) order.push_back(key);
      object.set(key, number);
    }
    object.append("appended", 1);
    order.push_back("appended");
    expected["appended"] = 1;
    Object copy = object, moved = std::move(object);
    for (const Object* one : {&copy, &moved}) {
      ASSERT_EQ(one->size(), expected.size());
      std::size_t at = 0;
      for (const Member& member : *one) EXPECT_EQ(member.key, order[at++]);
      for (const auto& [key, number] : expected) EXPECT_EQ(one->find(key)->as_int(), number) << key;
      EXPECT_EQ(one->find("absent"), nullptr);
    }
    EXPECT_TRUE(copy == moved);
    EXPECT_TRUE(copy.erase(order.front()));
    EXPECT_FALSE(copy.erase(order.front()));
    EXPECT_EQ(copy.find(order.front()), nullptr);
    EXPECT_EQ(copy.find("appended")->as_int(), 1);
    EXPECT_FALSE(copy == moved);
    copy = moved;
    copy.set("appended", 2);
    EXPECT_FALSE(copy == moved);
    EXPECT_EQ(moved.find("appended")->as_int(), 1);
  }
}

TEST(Value, SaysWhatItTakesOfTheHeap) {
  EXPECT_EQ(Value(5).heap_bytes(), 0u);
  EXPECT_EQ(Value("short").heap_bytes(), 0u);
  EXPECT_GE(Value(std::string(1000, 'x')).heap_bytes(), 1000u);
  Array items(1000);
  EXPECT_GE(heap_bytes(items), 1000 * sizeof(Value));
  items[7] = std::string(1000, 'x');
  EXPECT_GE(heap_bytes(items), 1000 * sizeof(Value) + 1000);
  Object object;
  for (int i = 0; i < 1000; ++i) object.append("a key of twenty bytes" + std::to_string(i), i);
  const std::size_t plain = object.heap_bytes();
  EXPECT_GE(plain, 1000 * (sizeof(Member) + 20));
  object.set("another", Value(items));
  EXPECT_GE(object.heap_bytes(), plain + heap_bytes(items) + 1000 * sizeof(uint32_t)) << "with its index";
  EXPECT_EQ(Value(object).find("another")->heap_bytes(), object.find("another")->heap_bytes());
}

TEST(Value, OrderOfMembersDoesNotMatterForEquality) {
  EXPECT_TRUE(*parse_json(R"({"a":1,"b":[2]})") == *parse_json(R"({"b":[2],"a":1})"));
  EXPECT_FALSE(*parse_json(R"({"a":1,"b":[2]})") == *parse_json(R"({"b":[2],"c":1})"));
}

// 200,000 keys, each set twice, compared and parsed with every key twice: minutes where any of it is
// quadratic.
TEST(Value, ManyKeysCostTheirNumber) {
  constexpr int kKeys = 200'000;
  auto start = std::chrono::steady_clock::now();
  Object object;
  std::string json = "{";
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < kKeys; ++i) {
      std::string key = "some_key_" + std::to_string(i);
      json += (json.size() > 1 ? ",\"" : "\"") + key + "\":" + std::to_string(i + round);
      object.set(key, i + round);
    }
  Result<Value> parsed = parse_json(json + "}");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(object.size(), static_cast<std::size_t>(kKeys));
  EXPECT_TRUE(parsed->as_object() == object);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10 * testing::kSlowdown));
}

// A client that knows the hash can make keys that collide; this one differs from process to process.
TEST(Value, TheHashOfKeysHasASecret) {
  EXPECT_NE(KeyHash()("a"), KeyHash()("b"));
  EXPECT_EQ(KeyHash()("a"), KeyHash()("a"));
  EXPECT_NE(KeyHash()("a"), std::hash<std::string_view>()("a"));
}

}  // namespace
}  // namespace pagoda
