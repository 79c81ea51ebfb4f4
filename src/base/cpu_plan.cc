#include "base/cpu_plan.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <system_error>

#include "base/env.h"

namespace pagoda {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// CPU id -> NUMA node; empty where the kernel knows of none.
std::map<int, int> numa_nodes() {
  const std::string root = "/sys/devices/system/node/";
  std::map<int, int> node_of;
  Result<std::vector<int>> nodes = parse_cpu_list(first_line(root + "online"));
  if (!nodes.ok()) return node_of;
  for (int node : *nodes) {
    Result<std::vector<int>> cpus =
        parse_cpu_list(first_line(root + "node" + std::to_string(node) + "/cpulist"));
    if (!cpus.ok()) continue;  // memory without CPUs
    for (int cpu : *cpus) node_of[cpu] = node;
  }
  return node_of;
}

int core_of(int cpu) {
  const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  for (const char* name : {"core_cpus_list", "thread_siblings_list"}) {
    Result<std::vector<int>> siblings = parse_cpu_list(first_line(folder + name));
    if (siblings.ok()) return *std::min_element(siblings->begin(), siblings->end());
  }
  return cpu;
}

Status bad_list(std::string_view text, const std::string& why) {
  return invalid_argument("CPU list '" + std::string(text) + "': " + why, "cpu-list");
}

bool read_number(std::string_view* text, int* number) {
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc() || *number < 0) return false;
  text->remove_prefix(static_cast<std::size_t>(end - text->data()));
  return true;
}

std::vector<int> ids(const CpuTopology& topology) {
  std::vector<int> all;
  for (const Cpu& cpu : topology.cpus) all.push_back(cpu.id);
  return all;
}

std::vector<int> spare_cpus(const CpuTopology& topology, const std::vector<int>& compute) {
  const std::set<int> taken(compute.begin(), compute.end());
  std::set<int> busy_cores;
  for (const Cpu& cpu : topology.cpus)
    if (taken.contains(cpu.id)) busy_cores.insert(cpu.core);
  std::vector<int> idle, siblings;
  for (const Cpu& cpu : topology.cpus) {
    if (!busy_cores.contains(cpu.core)) idle.push_back(cpu.id);
    if (!taken.contains(cpu.id)) siblings.push_back(cpu.id);
  }
  return idle.empty() ? siblings : idle;
}

// Thread i on cpus[i].
CpuPlan bound(const CpuTopology& topology, std::vector<int> cpus, int num_threads) {
  cpus.resize(static_cast<std::size_t>(num_threads));
  std::vector<int> spare = spare_cpus(topology, cpus);
  return {num_threads, std::move(cpus), std::move(spare), false};
}

Result<CpuPlan> plan_listed(const CpuTopology& topology, const CpuAffinityOptions& options) {
  PAGODA_TRY(std::vector<int> listed, parse_cpu_list(options.cpu_list));
  const std::vector<int> allowed = ids(topology);
  std::vector<int> foreign;
  for (int cpu : listed)
    if (!std::binary_search(allowed.begin(), allowed.end(), cpu)) foreign.push_back(cpu);
  if (!foreign.empty())
    return bad_list(options.cpu_list, "CPUs " + cpu_list_text(foreign) +
                                          " do not exist or are not for this process, which may use " +
                                          cpu_list_text(allowed));
  const int count = static_cast<int>(listed.size());
  if (options.num_threads > count)
    return invalid_argument(std::to_string(options.num_threads) + " threads are more than the " +
                                std::to_string(count) + " CPUs of --cpu-list " + options.cpu_list,
                            "threads");
  return bound(topology, std::move(listed), options.num_threads > 0 ? options.num_threads : count);
}

CpuPlan plan_freely(const CpuTopology& topology, int num_threads, bool may_bind) {
  std::vector<int> cores = topology.one_per_core();
  const int num_cores = static_cast<int>(cores.size());
  if (num_threads == 0) {
    num_threads = num_cores;
    if (topology.quota < num_cores) num_threads = std::max(static_cast<int>(std::ceil(topology.quota)), 1);
  }
  if (may_bind && num_threads == num_cores && topology.quota >= num_cores)
    return bound(topology, std::move(cores), num_threads);
  CpuPlan plan;
  plan.num_threads = num_threads;
  plan.is_crowded = num_threads > static_cast<int>(topology.cpus.size());
  return plan;
}

}  // namespace

CpuTopology CpuTopology::of_this_process() {
  CpuTopology topology;
  const std::map<int, int> node_of = numa_nodes();
  for (int id : allowed_cpus()) {
    auto node = node_of.find(id);
    topology.cpus.push_back({id, core_of(id), node == node_of.end() ? 0 : node->second});
  }
  topology.quota = cpu_quota();
  return topology;
}

std::vector<int> CpuTopology::one_per_core() const {
  std::set<int> cores;
  std::vector<Cpu> firsts;
  for (const Cpu& cpu : cpus)
    if (cores.insert(cpu.core).second) firsts.push_back(cpu);
  std::stable_sort(firsts.begin(), firsts.end(),
                   [](const Cpu& a, const Cpu& b) { return a.numa_node < b.numa_node; });
  std::vector<int> ids;
  for (const Cpu& cpu : firsts) ids.push_back(cpu.id);
  return ids;
}

Result<std::vector<int>> parse_cpu_list(std::string_view text) {
  std::vector<int> cpus;
  std::set<int> seen;
  for (std::string_view rest = text;;) {
    int first = 0, last = 0;
    if (!read_number(&rest, &first)) return bad_list(text, "expected numbers and ranges, as in 0-3,8,10");
    last = first;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      if (!read_number(&rest, &last)) return bad_list(text, "a range ends with a number, as in 0-3");
      if (last < first) return bad_list(text, "a range ascends");
    }
    if (last >= CPU_SETSIZE) return bad_list(text, "no CPU has the number " + std::to_string(last));
    for (int cpu = first; cpu <= last; ++cpu) {
      if (!seen.insert(cpu).second) return bad_list(text, "CPU " + std::to_string(cpu) + " is named twice");
      cpus.push_back(cpu);
    }
    if (rest.empty()) return cpus;
    if (!rest.starts_with(',')) return bad_list(text, "expected numbers and ranges, as in 0-3,8,10");
    rest.remove_prefix(1);
  }
}

std::string cpu_list_text(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(cpus[i]);
    if (end - i > 1) text += (end - i > 2 ? "-" : ",") + std::to_string(cpus[end - 1]);
    i = end;
  }
  return text;
}

std::string CpuPlan::description() const {
  std::string text =
      std::to_string(num_threads) + (num_threads == 1 ? " compute thread" : " compute threads");
  if (compute.empty()) return text + (is_crowded ? " on fewer CPUs" : ", not bound to CPUs");
  text += " on CPUs " + cpu_list_text(compute);
  if (!spare.empty()) text += ", the other threads on " + cpu_list_text(spare);
  return text;
}

Result<CpuPlan> plan_cpus(const CpuTopology& topology, const CpuAffinityOptions& options) {
  const bool is_auto = options.cpu_list.empty() || options.cpu_list == "auto";
  CpuPlan plan;
  if (is_auto || options.cpu_list == "nobind") {
    plan = plan_freely(topology, options.num_threads, is_auto);
  } else {
    PAGODA_TRY(plan, plan_listed(topology, options));
  }
  std::set<int> nodes;
  for (const Cpu& cpu : topology.cpus) nodes.insert(cpu.numa_node);
  plan.num_numa_nodes = static_cast<int>(nodes.size());
  return plan;
}

namespace {

bool bind(pid_t thread, const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : cpus)
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  return ::sched_setaffinity(thread, sizeof set, &set) == 0;
}

}  // namespace

bool bind_this_thread(const std::vector<int>& cpus) {
  return bind(0, cpus);
}

void bind_other_threads(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const pid_t thread = std::atoi(entry.path().filename().c_str());
    if (thread > 0 && thread != ::gettid()) bind(thread, cpus);
  }
}

CpuBinding::CpuBinding(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  std::vector<int> before = allowed_cpus();
  if (bind_this_thread(cpus)) before_ = std::move(before);
}

CpuBinding::~CpuBinding() {
  if (!before_.empty()) bind_this_thread(before_);
}

}  // namespace pagoda
