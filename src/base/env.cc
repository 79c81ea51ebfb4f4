#include "base/env.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/cpu_plan.h"

namespace pagoda {
namespace {

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<uint64_t> number_in(const std::string& path) {
  std::optional<std::string> line = first_line(path);
  uint64_t number = 0;
  if (!line || std::from_chars(line->data(), line->data() + line->size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

// Our own cgroup's folder and its parents up to the mount, v2 ("0::/a/b") or the v1 controller's.
std::vector<std::string> cgroup_dirs(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  std::vector<std::string> dirs;
  for (std::string line; std::getline(file, line);) {
    std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string names = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    bool v2 = names.empty();
    if (!v2 && ("," + names + ",").find("," + controller + ",") == std::string::npos) continue;
    std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + names;
    while (path.size() > 1 && path[0] == '/') {
      dirs.push_back(root + path);
      path.resize(path.rfind('/'));
    }
    dirs.push_back(root);
  }
  return dirs;
}

struct MemoryLimit {
  uint64_t limit = std::numeric_limits<uint64_t>::max(), room = std::numeric_limits<uint64_t>::max();
};

MemoryLimit cgroup_memory() {
  MemoryLimit result;
  for (const std::string& dir : cgroup_dirs("memory")) {
    auto limit = number_in(dir + "/memory.max"), used = number_in(dir + "/memory.current");
    if (!limit)
      limit = number_in(dir + "/memory.limit_in_bytes"), used = number_in(dir + "/memory.usage_in_bytes");
    if (!limit) continue;
    result.limit = std::min(result.limit, *limit);
    if (used) result.room = std::min(result.room, *limit > *used ? *limit - *used : 0);
  }
  return result;
}

uint64_t meminfo_bytes(const std::string& name) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":"))
      return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  return 0;
}

}  // namespace

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

double cpu_quota() {
  double quota = std::numeric_limits<double>::infinity();
  for (const std::string& dir : cgroup_dirs("cpu")) {
    if (auto line = first_line(dir + "/cpu.max")) {  // v2: "200000 100000" or "max 100000"
      std::istringstream words(*line);
      double used = 0, period = 0;
      if (words >> used >> period && period > 0) quota = std::min(quota, used / period);
    }
    auto used = number_in(dir + "/cpu.cfs_quota_us"), period = number_in(dir + "/cpu.cfs_period_us");
    if (used && period && *period > 0)
      quota = std::min(quota, static_cast<double>(*used) / static_cast<double>(*period));
  }
  return quota;
}

int usable_cpu_count() {
  return plan_cpus(CpuTopology::of_this_process(), {.cpu_list = "nobind"})->num_threads;
}

uint64_t usable_memory_bytes() {
  return std::min(meminfo_bytes("MemTotal"), cgroup_memory().limit);
}

uint64_t available_memory_bytes() {
  return std::min(meminfo_bytes("MemAvailable"), cgroup_memory().room);
}

}  // namespace pagoda
