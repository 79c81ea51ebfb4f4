// The process's surroundings: environment variables (read nowhere else), and how many CPUs and how much
// memory we may use, respecting affinity masks and cgroup v1/v2 limits.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pagoda {

std::optional<std::string> environment(const char* name);
// Names of the variables that are set and begin so, sorted.
std::vector<std::string> environment_names(std::string_view prefix);

// CPUs of the calling thread's affinity mask, ascending; never empty.
std::vector<int> allowed_cpus();
// CPUs that the cgroup lets us use on average, 1.5 say; infinity: no limit.
double cpu_quota();
// Compute threads that make sense: physical cores within the affinity mask, no more than the quota (rounded
// up).
int usable_cpu_count();
// Bytes of memory we may use: the smallest of physical memory and the limits of our cgroup and of all that it
// lies in (v1 memory.limit_in_bytes; v2 memory.max, and memory.high, above which it is throttled), and what
// is left of the address space under a limit of it (RLIMIT_AS). `root`: a folder that stands for /, for
// tests.
uint64_t usable_memory_bytes(const std::string& root = "");
// Bytes free right now within usable_memory_bytes: MemAvailable, address space, and the room under the
// cgroups' limits, where the inactive page cache counts as available.
uint64_t available_memory_bytes(const std::string& root = "");

}  // namespace pagoda
