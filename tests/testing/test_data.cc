#include "tests/testing/test_data.h"

#include <filesystem>

#include "base/env.h"

namespace pagoda::testing {

std::string test_data_dir() {
  static const std::string dir = [] {
    std::string path = environment("PAGODA_TEST_DATA").value_or(PAGODA_SOURCE_DIR "/../shared/data");
    return std::filesystem::is_directory(path) ? path : std::string();
  }();
  return dir;
}

std::string source_path(const std::string& relative) {
  return std::string(PAGODA_SOURCE_DIR) + "/" + relative;
}

}  // namespace pagoda::testing
