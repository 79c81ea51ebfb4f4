#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace pagoda {
namespace {

TEST(Json, AcceptsWhatRfc8259Accepts) {
  struct Case {
    const char *text, *compact;
  } cases[] = {
      {"null", "null"},
      {" [1, 2.5, -0, 1e3 ] ", "[1,2.5,0,1000.0]"},
      {R"({"b":1,"a":{"c":[true,false,null]}})", R"({"b":1,"a":{"c":[true,false,null]}})"},
      {R"("\u00e9\ud83d\ude42\n")", "\"\xC3\xA9\xF0\x9F\x99\x82\\n\""},
      {"9223372036854775807", "9223372036854775807"},
      {"18446744073709551616", "1.8446744073709552e+19"},
      {"0.1", "0.1"},
      {"[]", "[]"},
      {"{}", "{}"},
      {R"({"a":1,"b":2,"a":3})", R"({"a":3,"b":2})"},
      {"123456789012345678901234567890", "1.2345678901234568e+29"},
      {"1e-400", "0.0"},
  };
  for (const Case& c : cases) {
    Result<Value> value = parse_json(c.text);
    ASSERT_TRUE(value.ok()) << c.text << ": " << value.status().message();
    EXPECT_EQ(write_json(*value), c.compact) << c.text;
  }
}

TEST(Json, RefusesWhatRfc8259Refuses) {
  const std::string cases[] = {"",
                               " ",
                               "{",
                               "[1,]",
                               "{\"a\":1,}",
                               "{'a':1}",
                               "01",
                               "+1",
                               ".5",
                               "1.",
                               "NaN",
                               "Infinity",
                               "1e400",
                               "-1e400",
                               "[1] x",
                               "// c\n1",
                               "\"\\ud800\"",
                               "\"\xff\"",
                               "\"\xC0\xAF\"",
                               "tru",
                               "\"a\nb\"",
                               std::string("\"a\0b\"", 5),
                               "\xEF\xBB\xBF{}",
                               "[1 2]",
                               "{\"a\" 1}",
                               "\"\\x41\""};
  for (const std::string& text : cases) EXPECT_FALSE(parse_json(text).ok()) << text;
}

TEST(Json, DepthIsBounded) {
  EXPECT_TRUE(parse_json(std::string(128, '[') + std::string(128, ']')).ok());
  EXPECT_FALSE(parse_json(std::string(129, '[') + std::string(129, ']')).ok());
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')).ok());
}

TEST(Json, ValuesAreBounded) {
  const JsonLimits four{.values_max = 4};
  for (const char* text : {"[1,2,3]", R"({"a":{"b":[1]}})", R"([[],{},"x"])", R"(["a",null,1.5])"})
    EXPECT_TRUE(parse_json(text, four).ok()) << text;
  for (const char* text : {"[1,2,3,4]", R"({"a":{"b":[1,2]}})", R"([[[[[]]]]])", R"(["a",null,1.5,true])",
                           "[1,2,18446744073709551615,4]"}) {
    Result<Value> value = parse_json(text, four);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_NE(value.status().message().find("more than 4 values"), std::string::npos) << text;
  }
}

std::string repeat(const std::string& piece, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += (i > 0 ? "," : "") + piece;
  return out;
}

TEST(Json, ValuesAreBoundedOverAllTextsOfAMeter) {
  JsonMeter meter;
  const JsonLimits limits{.values_max = 8, .meter = &meter};
  EXPECT_TRUE(parse_json("[1,2,3]", limits).ok());
  EXPECT_FALSE(parse_json("[1,", limits).ok());
  EXPECT_EQ(meter.values, 5u) << "what was read of a text that is none counts too";
  EXPECT_TRUE(parse_json("[1,2]", limits).ok());
  EXPECT_FALSE(parse_json("[]", limits).ok());
  EXPECT_EQ(meter.values, 9u) << "that there were too many can be seen";
}

TEST(Json, AreBoundedUnlessMoreIsAskedFor) {
  const std::string many = "[" + repeat("0", static_cast<int>(kJsonValuesMax)) + "]";
  EXPECT_FALSE(parse_json(many).ok());
  EXPECT_TRUE(parse_json(many, {.values_max = kJsonValuesMax + 1}).ok());
}

// While it is read a tree is charged for what it takes, whatever it is made of: no less than it has in the
// end, and no more than half of it beyond.
TEST(Json, MemoryIsChargedWhileItIsRead) {
  constexpr int kTimes = 65536;
  constexpr std::size_t kBudget = std::size_t{1} << 30;
  for (const std::string piece : {"0", "[]", "[0]", R"({"":0})", R"({"a":{"b":[]}})", R"("0123456789abcdef")",
                                  R"("\n23456789abcdef0123456789")", R"({"0123456789abcdef":"x"})"}) {
    const std::string text = "[" + repeat(piece, kTimes) + "]";
    auto budget = std::make_shared<MemoryBudget>();
    budget->configure(kBudget, nullptr);
    MemoryShare share(budget);
    JsonMeter meter{.memory = &share};
    Result<Value> value = parse_json(text, {.meter = &meter});
    ASSERT_TRUE(value.ok()) << piece << value.status().message();
    EXPECT_GE(budget->used(), value->heap_bytes()) << piece;
    EXPECT_LE(budget->used(), value->heap_bytes() * 3 / 2) << piece;

    auto little = std::make_shared<MemoryBudget>();
    little->configure(value->heap_bytes() / 2, nullptr);
    MemoryShare other(little);
    JsonMeter short_of{.memory = &other};
    EXPECT_EQ(parse_json(text, {.meter = &short_of}).status().code(), StatusCode::kTooLarge) << piece;
    EXPECT_LT(short_of.bytes, value->heap_bytes()) << piece << ": refused before it is there";
  }
}

TEST(Json, WhatIsLittleIsNotCharged) {
  auto budget = std::make_shared<MemoryBudget>();
  budget->configure(1 << 20, nullptr);
  MemoryShare share(budget);
  JsonMeter meter{.memory = &share};
  ASSERT_TRUE(
      parse_json("[" + repeat(R"({"role":"user","content":"x"})", 100) + "]", {.meter = &meter}).ok());
  EXPECT_GT(meter.bytes, 100 * 2 * sizeof(Member));
  EXPECT_EQ(budget->used(), 0u);
}

TEST(Json, DuplicateKeysCanBeRefused) {
  JsonLimits strict{.reject_duplicate_keys = true};
  EXPECT_TRUE(parse_json(R"({"a":1,"b":{"a":2}})", strict).ok());
  Result<Value> twice = parse_json(R"({"x":{"a":1,"a":2}})", strict);
  ASSERT_FALSE(twice.ok());
  EXPECT_NE(twice.status().message().find("twice"), std::string::npos);
}

// Expected texts are what Python 3.11's repr() prints.
TEST(Json, FloatsPrintAsPythonPrintsThem) {
  struct Case {
    double number;
    const char* text;
  } cases[] = {{1, "1.0"},
               {0.1, "0.1"},
               {1e-5, "1e-05"},
               {0.0001, "0.0001"},
               {1e16, "1e+16"},
               {1e15, "1000000000000000.0"},
               {123456.789, "123456.789"},
               {5e-324, "5e-324"},
               {-0.0, "-0.0"},
               {1.7976931348623157e308, "1.7976931348623157e+308"},
               {1e22, "1e+22"},
               {0.3, "0.3"},
               {100, "100.0"}};
  for (const Case& c : cases) EXPECT_EQ(python_float_repr(c.number), c.text);
}

TEST(Json, FloatsReadBackEqual) {
  SplitMix64 random(1);
  for (int i = 0; i < 20000; ++i) {
    double number = std::bit_cast<double>(random.next());
    if (!std::isfinite(number)) continue;
    Result<Value> value = parse_json(python_float_repr(number));
    ASSERT_TRUE(value.ok());
    EXPECT_EQ(value->as_double(), number);
  }
}

TEST(Json, StylesFollowPythonsDumps) {
  Value value = *parse_json(R"({"b":[1,{"é":"x"}],"a":{}})");
  EXPECT_EQ(write_json(value, {.python_spacing = true}), "{\"b\": [1, {\"é\": \"x\"}], \"a\": {}}");
  EXPECT_EQ(write_json(value, {.python_spacing = true, .ensure_ascii = true, .sort_keys = true}),
            "{\"a\": {}, \"b\": [1, {\"\\u00e9\": \"x\"}]}");
  EXPECT_EQ(write_json(value, {.python_spacing = true, .indent = 2}),
            "{\n  \"b\": [\n    1,\n    {\n      \"é\": \"x\"\n    }\n  ],\n  \"a\": {}\n}");
}

TEST(Json, WhatLeavesIsAlwaysValid) {
  EXPECT_EQ(write_json(Value(std::string("a\xff\x01z"))), "\"a\xEF\xBF\xBD\\u0001z\"");
  EXPECT_EQ(write_json(Value(HUGE_VAL)), "null");
  EXPECT_EQ(write_json(Value(std::nan("")), {.python_spacing = true}), "NaN");
}

}  // namespace
}  // namespace pagoda
