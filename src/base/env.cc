#include "base/env.h"

#include <sched.h>
#include <sys/resource.h>
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

// The number behind `name ` at the beginning of a line.
std::optional<uint64_t> field_of(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, 10);
  return std::nullopt;
}

// Our own cgroup's folder and its parents up to the mount, v2 ("0::/a/b") or the v1 controller's. In a
// container the path may be the host's: its folders are not there, and the mount is our own.
std::vector<std::string> cgroup_dirs(const std::string& controller, const std::string& root = "") {
  std::ifstream file(root + "/proc/self/cgroup");
  std::vector<std::string> dirs;
  for (std::string line; std::getline(file, line);) {
    std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string names = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    bool v2 = names.empty();
    if (!v2 && ("," + names + ",").find("," + controller + ",") == std::string::npos) continue;
    std::string mount = root + (v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + names);
    while (path.size() > 1 && path[0] == '/') {
      dirs.push_back(mount + path);
      path.resize(path.rfind('/'));
    }
    dirs.push_back(mount);
  }
  return dirs;
}

struct MemoryLimit {
  uint64_t limit = std::numeric_limits<uint64_t>::max(), room = std::numeric_limits<uint64_t>::max();
};

// Of one cgroup; none where its files are not there or say `max`.
MemoryLimit cgroup_memory_of(const std::string& dir) {
  MemoryLimit result;
  for (const char* name : {"/memory.max", "/memory.high", "/memory.limit_in_bytes"})
    if (auto limit = number_in(dir + name)) result.limit = std::min(result.limit, *limit);
  auto used = number_in(dir + "/memory.current"), idle = field_of(dir + "/memory.stat", "inactive_file ");
  if (!used) {
    used = number_in(dir + "/memory.usage_in_bytes");
    idle = field_of(dir + "/memory.stat", "total_inactive_file ");
  }
  if (!used) return result;
  const uint64_t held = *used - std::min(*used, idle.value_or(0));
  result.room = result.limit - std::min(result.limit, held);
  return result;
}

MemoryLimit cgroup_memory(const std::string& root) {
  MemoryLimit result;
  for (const std::string& dir : cgroup_dirs("memory", root)) {
    const MemoryLimit one = cgroup_memory_of(dir);
    result.limit = std::min(result.limit, one.limit);
    result.room = std::min(result.room, one.room);
  }
  return result;
}

uint64_t meminfo_bytes(const std::string& root, const std::string& name) {
  return field_of(root + "/proc/meminfo", name + ":").value_or(0) * 1024;
}

// Room for more mappings under RLIMIT_AS (`ulimit -v`).
uint64_t address_space_left(const std::string& root) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  const uint64_t mapped = field_of(root + "/proc/self/status", "VmSize:").value_or(0) * 1024;
  return limit.rlim_cur > mapped ? limit.rlim_cur - mapped : 0;
}

}  // namespace

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::vector<std::string> environment_names(std::string_view prefix) {
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.starts_with(prefix)) names.emplace_back(text.substr(0, text.find('=')));
  }
  std::ranges::sort(names);
  return names;
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

uint64_t usable_memory_bytes(const std::string& root) {
  return std::min({meminfo_bytes(root, "MemTotal"), cgroup_memory(root).limit, address_space_left(root)});
}

uint64_t available_memory_bytes(const std::string& root) {
  return std::min({meminfo_bytes(root, "MemAvailable"), cgroup_memory(root).room, address_space_left(root)});
}

}  // namespace pagoda
