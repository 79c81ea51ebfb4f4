// A YAML file of flags, and a command line (its words behind NULs).
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "cli/config_file.h"
#include "cli/serve_flags.h"

namespace {

std::string file_of(const uint8_t* data, std::size_t size) {
  static const std::string path = "/dev/shm/pagoda_flags_fuzz_" + std::to_string(::getpid());
  std::FILE* file = std::fopen(path.c_str(), "w");
  PAGODA_CHECK(file != nullptr && std::fwrite(data, 1, size, file) == size && std::fclose(file) == 0,
               "a file in /dev/shm");
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  if (data[0] % 2 == 0) {
    (void)pagoda::read_config_file(pagoda::serve_flag_table(), file_of(data + 1, size - 1));
    return 0;
  }
  std::vector<std::string> words(1);
  for (std::size_t i = 1; i < size; ++i) {
    if (data[i] == 0)
      words.emplace_back();
    else
      words.back() += static_cast<char>(data[i]);
  }
  (void)pagoda::parse_flags(pagoda::serve_flag_table(), words);
  return 0;
}
