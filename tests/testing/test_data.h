// Data that others made, for checking against: real tokenizers, templates, checkpoints with their expected
// outputs. It lies outside of the repository, so tests that use it skip where it is absent.
#pragma once
#include <gtest/gtest.h>

#include <string>

namespace pagoda::testing {

// PAGODA_TEST_DATA, or ../shared/data beside the checkout; empty if there is no such folder.
std::string test_data_dir();
// A file of the repository itself.
std::string source_path(const std::string& relative);

}  // namespace pagoda::testing

// Requires: the first statement of a test. `path` is relative to the data folder.
#define PAGODA_TEST_DATA_OR_SKIP(variable, path)                                              \
  if (::pagoda::testing::test_data_dir().empty())                                             \
    GTEST_SKIP() << "no test data: set PAGODA_TEST_DATA to the folder that holds " << (path); \
  const std::string variable = ::pagoda::testing::test_data_dir() + "/" + (path)
