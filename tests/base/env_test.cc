#include "base/env.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

TEST(Env, LimitsAreSane) {
  EXPECT_GE(usable_cpu_count(), 1);
  EXPECT_LE(usable_cpu_count(), static_cast<int>(allowed_cpus().size()));
  EXPECT_GT(usable_memory_bytes(), 1u << 20);
  EXPECT_LE(available_memory_bytes(), usable_memory_bytes());
  EXPECT_FALSE(environment("PAGODA_SURELY_NOT_SET").has_value());
}

TEST(Env, ALimitOfAddressSpaceLimitsMemory) {
  const uint64_t before = usable_memory_bytes();
  rlimit was{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &was), 0);
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const uint64_t mapped = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)), room = 100 << 20;
  const rlimit limit{mapped + room, was.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  const uint64_t usable = usable_memory_bytes(), available = available_memory_bytes();
  setrlimit(RLIMIT_AS, &was);
  EXPECT_NEAR(static_cast<double>(usable), static_cast<double>(room), 2 << 20);
  EXPECT_LE(available, usable + (2 << 20));
  EXPECT_EQ(usable_memory_bytes(), before);
}

struct MemoryCase {
  const char* what;
  std::vector<std::pair<const char*, const char*>> files;
  uint64_t usable_mib, available_mib;
};

// A machine of 16384 MiB, 8192 of them free.
TEST(Env, TheTightestOfAllCgroupsLimitsMemory) {
  const char* const k1000 = "1048576000\n";
  const char* const k400 = "419430400\n";
  const char* const k300 = "314572800\n";
  const MemoryCase cases[] = {
      {"no cgroup", {}, 16384, 8192},
      {"v2, no limit",
       {{"proc/self/cgroup", "0::/a\n"},
        {"sys/fs/cgroup/a/memory.max", "max\n"},
        {"sys/fs/cgroup/a/memory.high", "max\n"},
        {"sys/fs/cgroup/a/memory.current", k400}},
       16384,
       8192},
      {"v2, our own, with 300 MiB of idle cached files",
       {{"proc/self/cgroup", "0::/a/b\n"},
        {"sys/fs/cgroup/a/b/memory.max", k1000},
        {"sys/fs/cgroup/a/b/memory.current", k400},
        {"sys/fs/cgroup/a/b/memory.stat", "anon 5\nactive_file 9\ninactive_file 314572800\nslab 1\n"},
        {"sys/fs/cgroup/a/memory.max", "max\n"},
        {"sys/fs/cgroup/a/memory.current", k1000}},
       1000,
       900},
      {"v2, the parent's is tighter",
       {{"proc/self/cgroup", "0::/a/b\n"},
        {"sys/fs/cgroup/a/b/memory.max", k1000},
        {"sys/fs/cgroup/a/memory.max", k400},
        {"sys/fs/cgroup/a/memory.current", k300}},
       400,
       100},
      {"v2, memory.high is tighter",
       {{"proc/self/cgroup", "0::/\n"},
        {"sys/fs/cgroup/memory.max", k1000},
        {"sys/fs/cgroup/memory.high", k400},
        {"sys/fs/cgroup/memory.current", k1000}},
       400,
       0},
      {"v1, nested, beside other controllers and an empty v2 tree",
       {{"proc/self/cgroup", "9:name=systemd:/x\n4:memory:/x/y\n1:cpu,cpuacct:/x\n0::/\n"},
        {"sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", k1000},
        {"sys/fs/cgroup/memory/x/y/memory.usage_in_bytes", k400},
        {"sys/fs/cgroup/memory/x/y/memory.stat", "inactive_file 1\ntotal_inactive_file 104857600\n"},
        {"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n"},
        {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"}},
       1000,
       700},
      {"v1 in a container that sees the host's path",
       {{"proc/self/cgroup", "4:memory:/docker/0123abc\n"},
        {"sys/fs/cgroup/memory/memory.limit_in_bytes", k300},
        {"sys/fs/cgroup/memory/memory.usage_in_bytes", "0\n"}},
       300,
       300},
  };
  for (const MemoryCase& c : cases) {
    SCOPED_TRACE(c.what);
    testing::TempDir root;
    auto write = [&](const std::string& path, const char* text) {
      std::filesystem::create_directories(std::filesystem::path(root.file(path)).parent_path());
      std::ofstream(root.file(path)) << text;
    };
    write("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n");
    for (const auto& [path, text] : c.files) write(path, text);
    EXPECT_EQ(usable_memory_bytes(root.path()), c.usable_mib << 20);
    EXPECT_EQ(available_memory_bytes(root.path()), c.available_mib << 20);
  }
}

}  // namespace
}  // namespace pagoda
