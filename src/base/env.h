// The process's surroundings: environment variables (nobody else reads them), and how many CPUs and how much
// memory we may use, respecting affinity masks and cgroup v1/v2 limits.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pagoda {

std::optional<std::string> environment(const char* name);

// CPUs of the calling thread's affinity mask, ascending; never empty.
std::vector<int> allowed_cpus();
// CPUs that the cgroup lets us use on average, 1.5 say; infinity: no limit.
double cpu_quota();
// Compute threads that make sense: physical cores within the affinity mask, no more than the quota (rounded
// up).
int usable_cpu_count();
// Bytes of memory we may use: the smaller of physical memory and the cgroup's limit.
uint64_t usable_memory_bytes();
// Bytes free right now within usable_memory_bytes (MemAvailable, and the room left under the cgroup's limit).
uint64_t available_memory_bytes();

}  // namespace pagoda
