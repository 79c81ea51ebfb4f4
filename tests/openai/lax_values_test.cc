#include "openai/lax_values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <utility>

#include "base/json.h"

namespace pagoda {
namespace {

Value of(const char* json) {
  return *parse_json(json);
}

// What pydantic 2.14 makes of it in lax mode; nullopt: an error.
TEST(LaxValues, Integers) {
  const std::pair<const char*, std::optional<int64_t>> cases[] = {
      {"3", 3},
      {"3.0", 3},
      {"true", 1},
      {"false", 0},
      {R"("3")", 3},
      {R"(" 3 ")", 3},
      {R"("+3")", 3},
      {R"("-3")", -3},
      {R"("3.00")", 3},
      {R"("007")", 7},
      {R"("1_000")", 1000},
      {"9223372036854775808", kInt64Max},
      {R"("-99999999999999999999")", kInt64Min},
      {"3.5", std::nullopt},
      {R"("3.5")", std::nullopt},
      {R"("")", std::nullopt},
      {R"("-")", std::nullopt},
      {R"("+-3")", std::nullopt},
      {R"("1__0")", std::nullopt},
      {R"("_1")", std::nullopt},
      {R"("1e3")", std::nullopt},
      {R"("0x10")", std::nullopt},
      {"null", std::nullopt},
      {"[3]", std::nullopt},
  };
  for (const auto& [json, number] : cases) {
    Result<int64_t> judged = parse_integer(of(json), "f");
    ASSERT_EQ(judged.ok(), number.has_value()) << json;
    if (number) {
      EXPECT_EQ(*judged, *number) << json;
    } else {
      EXPECT_EQ(judged.status().param(), "body.f") << json;
    }
  }
  // Bounds see what lies beyond 64 bits.
  for (const char* json : {"9223372036854775808", "-9223372036854775809", R"("9223372036854775808")"})
    EXPECT_FALSE(parse_integer(of(json), kInt64Min, kInt64Max, "f").ok()) << json;
  EXPECT_EQ(*parse_integer(of("-9223372036854775808"), kInt64Min, kInt64Max, "f"), kInt64Min);
}

TEST(LaxValues, Numbers) {
  const std::pair<const char*, std::optional<double>> cases[] = {
      {"0.5", 0.5},
      {"2", 2},
      {"true", 1},
      {R"("0.5")", 0.5},
      {R"(" +.5 ")", 0.5},
      {R"("1e-3")", 1e-3},
      {R"("1_0.5")", 10.5},
      {R"("Infinity")", HUGE_VAL},
      {R"("1e400")", HUGE_VAL},
      {R"("1e-400")", 0},
      {R"("")", std::nullopt},
      {R"("0,5")", std::nullopt},
      {R"("0x1p3")", std::nullopt},
      {R"x("nan(1)")x", std::nullopt},
      {"{}", std::nullopt},
      {"null", std::nullopt},
  };
  for (const auto& [json, number] : cases) {
    Result<double> judged = parse_number(of(json), "f");
    ASSERT_EQ(judged.ok(), number.has_value()) << json;
    if (number) {
      EXPECT_EQ(*judged, *number) << json;
    }
  }
  EXPECT_TRUE(std::isnan(*parse_number(of(R"("NaN")"), "f")));
}

TEST(LaxValues, Booleans) {
  for (const char* json :
       {"true", "1", "1.0", R"("1")", R"("on")", R"("T")", R"("True")", R"("y")", R"("YES")"})
    EXPECT_EQ(parse_bool(of(json), "f").ok() && *parse_bool(of(json), "f"), true) << json;
  for (const char* json :
       {"false", "0", "0.0", R"("0")", R"("OFF")", R"("f")", R"("false")", R"("n")", R"("no")"})
    EXPECT_EQ(parse_bool(of(json), "f").ok() && !*parse_bool(of(json), "f"), true) << json;
  for (const char* json : {"2", "-1", "0.5", "null", "[]", "{}", R"("")", R"(" yes")", R"("ja")", R"("2")"})
    EXPECT_FALSE(parse_bool(of(json), "f").ok()) << json;
}

TEST(LaxValues, TruthIsPythons) {
  for (const char* json : {"null", "false", "0", "0.0", R"("")", "[]", "{}"}) {
    const Value value = of(json);
    EXPECT_FALSE(is_truthy(&value)) << json;
  }
  for (const char* json : {"true", "-1", "0.5", R"("false")", "[0]", R"({"a":null})"}) {
    const Value value = of(json);
    EXPECT_TRUE(is_truthy(&value)) << json;
  }
  EXPECT_FALSE(is_truthy(nullptr));
}

}  // namespace
}  // namespace pagoda
