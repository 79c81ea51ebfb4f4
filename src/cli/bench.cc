// `pagoda bench`: which of its subcommands is meant.
#include <cstdio>

#include "cli/commands.h"

namespace pagoda {
namespace {

constexpr const char* kUsage =
    "usage: pagoda bench serve|throughput|latency [flags]\n\n"
    "  pagoda bench serve        Send a load to a running OpenAI-compatible server; report latencies.\n"
    "  pagoda bench throughput   Generate for many prompts in this process; report tokens per second.\n"
    "  pagoda bench latency      Generate for one batch in this process; report its time.\n\n"
    "  pagoda bench COMMAND --help   All flags of a command.\n";

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  std::string name = arguments.empty() ? "--help" : arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (name == "serve") return run_bench_serve(rest);
  if (name == "throughput") return run_bench_throughput(rest);
  if (name == "latency") return run_bench_latency(rest);
  std::fprintf(stderr, "error: there is no 'pagoda bench %s'\n\n%s", name.c_str(), kUsage);
  return 2;
}

}  // namespace pagoda
