#include "cli/serve_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/cli/vllm_flags.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using testing::kVllmFlags;
using testing::VllmFlag;

const FlagSpec* spec_of(const std::string& name) {
  for (const FlagSpec& spec : serve_flag_table())
    if (name == spec.name || name == spec.alias) return &spec;
  return nullptr;
}

std::string sample_value(const VllmFlag& flag) {
  const std::string value = flag.value, choices = flag.choices;
  if (!choices.empty()) return choices.substr(0, choices.find(", "));
  if (value == "int" || value == "ints") return "3";
  if (value == "float") return "0.5";
  return value == "json" ? "{}" : "x";
}

// A flag's value in the way that vLLM takes it, and the name under which it must be found.
::testing::AssertionResult is_understood(const VllmFlag& flag, const std::string& spelled) {
  std::vector<std::string> arguments = {spelled};
  if (flag.value != std::string("switch")) arguments.push_back(sample_value(flag));
  Result<ParsedCommand> parsed = parse_flags(serve_flag_table(), arguments);
  if (!parsed.ok()) return ::testing::AssertionFailure() << spelled << ": " << parsed.status().message();
  if (!parsed->positional.empty()) return ::testing::AssertionFailure() << spelled << " took no value";
  if (!parsed->flags.given(spec_of(flag.name)->name))
    return ::testing::AssertionFailure() << spelled << " is not " << flag.name;
  return ::testing::AssertionSuccess();
}

TEST(ServeFlags, EveryFlagOfVllmIsUnderstood) {
  for (const VllmFlag& flag : kVllmFlags) {
    SCOPED_TRACE(flag.name);
    ASSERT_NE(spec_of(flag.name), nullptr);
    EXPECT_TRUE(is_understood(flag, std::string("--") + flag.name));
    std::string underscores = flag.name;
    std::ranges::replace(underscores, '-', '_');
    EXPECT_TRUE(is_understood(flag, "--" + underscores));
    if (*flag.short_name != 0) {
      EXPECT_TRUE(is_understood(flag, std::string("-") + flag.short_name));
    }
    if (flag.value == std::string("switch")) {
      auto off = parse_flags(serve_flag_table(), {std::string("--no-") + flag.name});
      ASSERT_TRUE(off.ok());
      EXPECT_FALSE(off->flags.flag(flag.name, true));
    }
  }
}

// One of vLLM's choices is taken (or said not to be built, by a flag that works); another word is not.
TEST(ServeFlags, ChoicesAreJudgedAndNamed) {
  for (const VllmFlag& flag : kVllmFlags) {
    const FlagSpec& spec = *spec_of(flag.name);
    if (*flag.choices == 0 || *spec.choices == 0) continue;
    SCOPED_TRACE(flag.name);
    auto parsed = parse_flags(serve_flag_table(), {std::string("--") + flag.name, "no-such-choice"});
    ASSERT_FALSE(parsed.ok());
    EXPECT_THAT(parsed.status().message(), HasSubstr(std::string("flag --") + spec.name + " must be one of"));
    EXPECT_THAT(parsed.status().message(), HasSubstr(spec.choices));
    std::string choices = std::string(spec.choices) + ", ";
    std::string theirs = std::string(flag.choices) + ", ";
    for (std::size_t end; (end = theirs.find(", ")) != std::string::npos; theirs.erase(0, end + 2))
      EXPECT_THAT(choices, HasSubstr(theirs.substr(0, end) + ", "));
  }
}

// Also where they change nothing.
TEST(ServeFlags, ValuesAreJudgedByTheirKind) {
  for (const VllmFlag& flag : kVllmFlags) {
    const std::string value = flag.value, name = std::string("--") + flag.name;
    const bool whole = value == "int" || value == "ints", number = whole || value == "float";
    if (!number && value != "json") continue;
    const FlagSpec& spec = *spec_of(flag.name);
    std::vector<std::string> wrong = {"[{"};
    if (number) wrong.insert(wrong.end(), {"x", "", "3x", "0x10", "nan", "inf", "1e999", "true", "[3]"});
    if (number && spec.kind != FlagKind::kIntOrAuto) wrong.emplace_back("auto");
    if (whole) wrong.insert(wrong.end(), {"1.5", "99999999999999999999"});
    for (const std::string& text : wrong) {
      auto parsed = parse_flags(serve_flag_table(), {name + "=" + text});
      EXPECT_FALSE(parsed.ok()) << name << "=" << text;
      EXPECT_THAT(parsed.status().message(), HasSubstr(std::string("flag --") + spec.name));
    }
    EXPECT_FALSE(parse_flags(serve_flag_table(), {name + "=None"})->flags.given(spec.name)) << name;
  }
}

TEST(ServeFlags, EveryNumberOfAListIsJudged) {
  auto parsed =
      parse_flags(serve_flag_table(), {"--numa-bind-nodes", "0", "1", "--cudagraph-capture-sizes=4"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  EXPECT_EQ(parsed->flags.json("numa-bind-nodes"), Value(Array{0, 1}));
  EXPECT_EQ(parsed->flags.json("cudagraph-capture-sizes"), Value(Array{4}));
  for (const char* name : {"--numa-bind-nodes", "--cudagraph-capture-sizes"}) {
    auto bad = parse_flags(serve_flag_table(), {name, "0", "x", "1"});
    ASSERT_FALSE(bad.ok()) << name;
    EXPECT_THAT(bad.status().message(),
                HasSubstr(std::string("flag ") + name + ": 'x' is not a whole number"));
  }
}

}  // namespace
}  // namespace pagoda
