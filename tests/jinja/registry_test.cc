#include "jinja/builtins/registry.h"

#include <gtest/gtest.h>

namespace pagoda::jinja {
namespace {

constexpr Registry<int>::Entry kFew[] = {{"upper", 1}, {"d", 2}};
constexpr Registry<int>::Entry kMore[] = {{"default", 3}, {"abs", 4}};

TEST(Registry, JoinsItsPartsByName) {
  const Registry<int> registry = {kFew, kMore};
  std::string names;
  for (const auto& [name, value] : registry.entries()) {
    names += std::string(name) + " ";
    EXPECT_EQ(registry.find(name), value) << name;
  }
  EXPECT_EQ(names, "abs d default upper ");
  for (const char* name : {"", "a", "abs ", "D", "defaul", "zz"}) EXPECT_EQ(registry.find(name), 0) << name;
}

TEST(Registry, RefusesANameTwice) {
  EXPECT_DEATH(Registry<int>({kFew, kMore, kFew}), "a builtin of each name");
}

}  // namespace
}  // namespace pagoda::jinja
