#include "metrics/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "base/log.h"

namespace pagoda {
namespace {

// Fields of /proc/self/stat, proc(5): 14 and 15 are CPU time, 22 the start since boot (all in clock ticks),
// 23 bytes of virtual memory, 24 resident pages. The second field is a name in parentheses that may hold
// anything.
struct ProcStat {
  double cpu_s = 0, start_since_boot_s = 0, virtual_bytes = 0, resident_bytes = 0;
};

ProcStat read_stat() {
  std::ifstream file("/proc/self/stat");
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  const std::size_t name_end = all.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(all.substr(name_end + 1));
  constexpr int kFirst = 3, kLast = 24;
  double values[kLast + 1] = {};
  std::string word;
  for (int i = kFirst; i <= kLast && fields >> word; ++i)
    if (i > kFirst) values[i] = std::stod(word);  // the third is a letter
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK)),
             page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  return {(values[14] + values[15]) / ticks, values[22] / ticks, values[23], values[24] * page};
}

double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string word; file >> word;)
    if (double seconds = 0; word == "btime" && file >> seconds) return seconds;
  return 0;
}

double num_open_fds() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  int count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  constexpr int kDotsAndThisOne = 3;
  return count - kDotsAndThisOne;
}

double max_fds() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<double>(limit.rlim_cur) : 0;
}

}  // namespace

void add_process_metrics(MetricsRegistry* registry) {
  Counter* cpu = &registry->counter_without_start("process_cpu_seconds",
                                                  "Total user and system CPU time spent in seconds.");
  Gauge* resident = &registry->gauge("process_resident_memory_bytes", "Resident memory size in bytes.", {});
  Gauge* virtual_memory =
      &registry->gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", {});
  Gauge* fds = &registry->gauge("process_open_fds", "Number of open file descriptors.", {});
  registry->gauge("process_max_fds", "Maximum number of open file descriptors.", {}).set(max_fds());
  registry->gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", {})
      .set(boot_time() + read_stat().start_since_boot_s);
  Counter* dropped = &registry->counter(
      "pagoda:log_lines_dropped", "Lines of the log that were not read in time or could not be written.", {});
  registry->before_render([=] {
    dropped->add(static_cast<double>(num_log_lines_dropped()) - dropped->value());
    const ProcStat stat = read_stat();
    cpu->add(stat.cpu_s - cpu->value());
    resident->set(stat.resident_bytes);
    virtual_memory->set(stat.virtual_bytes);
    fds->set(num_open_fds());
  });
}

}  // namespace pagoda
