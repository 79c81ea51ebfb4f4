#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "base/mmap.h"
#include "cli/commands.h"

namespace {

constexpr const char* kUsage =
    R"(Pagoda serves large language models: an OpenAI-compatible server with vLLM's commands.

  pagoda serve [MODEL] [flags]   Serve a model over HTTP; without MODEL the built-in demo model.
  pagoda chat [flags]            Talk to a running server, or to the built-in model if there is none.
  pagoda render [flags]          Show the exact prompt that a chat becomes.
  pagoda tokenize [flags]        Turn text into token ids, or back.
  pagoda bench serve [flags]     Measure a running server, whoever made it; vLLM's flags and definitions.
  pagoda bench throughput|latency [flags]   Measure the engine alone, in this process.
  pagoda --version               Print the version.

  pagoda COMMAND --help          All flags of a command; --help=GROUP or --help=FLAG for some of them.
)";

struct Command {
  const char* name;
  int (*run)(const std::vector<std::string>&);
};
constexpr Command kCommands[] = {{"serve", pagoda::run_serve},
                                 {"chat", pagoda::run_chat},
                                 {"render", pagoda::run_render},
                                 {"tokenize", pagoda::run_tokenize},
                                 {"bench", pagoda::run_bench}};

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  pagoda::install_sigbus_handler();
  std::vector<std::string> arguments(argv + 1, argv + argc);
  std::string name = arguments.empty() ? "--help" : arguments.front();
  if (name == "--version" || name == "-v" || name == "version") {
    std::printf("pagoda %s\n", pagoda::kVersion);
    return 0;
  }
  if (name == "--help" || name == "-h" || name == "help") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  arguments.erase(arguments.begin());
  for (const Command& command : kCommands)
    if (name == command.name) return command.run(arguments);
  std::fprintf(stderr, "error: there is no command '%s'\n\n%s", name.c_str(), kUsage);
  return 2;
}
