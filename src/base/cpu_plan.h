// Which CPU each compute thread runs on, and which are left for the others. The plan is a pure function of
// the machine's topology and the wishes, so that it can be tested for machines that are not at hand.
#pragma once
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace pagoda {

struct Cpu {
  int id = 0;
  int core = 0;  // the lowest id among the hardware threads of its physical core
  int numa_node = 0;
};

// What this process may use: its affinity mask, and its cgroup's CPU quota in CPUs.
struct CpuTopology {
  std::vector<Cpu> cpus;  // ascending by id, not empty
  double quota = std::numeric_limits<double>::infinity();

  static CpuTopology of_this_process();   // /sys, /proc; of the calling thread's mask
  std::vector<int> one_per_core() const;  // the first CPU of each physical core, by NUMA node
};

// What is asked for. `cpu_list`: "auto" or "" (see plan_cpus), "nobind", or CPUs as in "0-3,8,10": thread i
// runs on the i-th. `num_threads` 0: as many as CPUs in the list; without one, physical cores, at most the
// quota (rounded up).
struct CpuAffinityOptions {
  std::string cpu_list;
  int num_threads = 0;
};

struct CpuPlan {
  int num_threads = 1;       // compute threads
  std::vector<int> compute;  // the CPU of each; empty: the system places them
  std::vector<int> spare;    // for everyone else; empty: no restriction
  bool is_crowded = false;   // more threads than CPUs: no thread should spin
  int num_numa_nodes = 1;    // of the CPUs that this process may use

  std::string description() const;  // "2 compute threads on CPUs 0,1"
};

// "0-3,8,10" in the order given. Errors: kInvalidArgument naming what is wrong.
Result<std::vector<int>> parse_cpu_list(std::string_view text);
std::string cpu_list_text(const std::vector<int>& cpus);  // ascending runs as ranges: "0-3,8,10"

// auto binds one thread to each physical core when all of them are taken and no quota holds them back. With
// fewer threads the system places them: two processes that both took the first cores would share them, and
// leave the rest idle. Spare are the CPUs of cores that do not compute; if there are none, second hardware
// threads. Errors kInvalidArgument (cpu-list, threads): a list that does not parse or names CPUs which this
// process may not use, more threads than it has CPUs.
Result<CpuPlan> plan_cpus(const CpuTopology& topology, const CpuAffinityOptions& options);

// Binds the calling thread to `cpus` until destroyed; threads that it starts meanwhile inherit that. Empty:
// does nothing. A system that refuses is no error: threads then run where they did.
class CpuBinding {
 public:
  explicit CpuBinding(const std::vector<int>& cpus);
  ~CpuBinding();
  CpuBinding(const CpuBinding&) = delete;
  CpuBinding& operator=(const CpuBinding&) = delete;

 private:
  std::vector<int> before_;  // empty: nothing was changed
};
bool bind_this_thread(const std::vector<int>& cpus);
// Every thread there is now but the calling one: those that began before it was known where to run. Empty:
// does nothing.
void bind_other_threads(const std::vector<int>& cpus);

}  // namespace pagoda
