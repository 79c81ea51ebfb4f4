#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/mmap.h"
#include "base/status.h"
#include "cli/commands.h"

namespace {

constexpr const char* kUsage =
    R"(Pagoda serves large language models: an OpenAI-compatible server with vLLM's commands.

  pagoda serve [MODEL] [flags]   Serve a model over HTTP; without MODEL the built-in demo model.
  pagoda chat [flags]            Talk to a running server, or to the built-in model if there is none.
  pagoda render [flags]          Show the exact prompt that a chat becomes.
  pagoda tokenize [flags]        Turn text into token ids, or back.
  pagoda bench serve [flags]     Measure a running server of any kind; vLLM's flags and definitions.
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

// An exception that was not caught is our fault: what it was, and what the log still holds, are said first.
[[noreturn]] void end_with_words() {
  if (std::current_exception() != nullptr) pagoda::fail(pagoda::status_of_exception().message());
  std::abort();
}

// Where a standard stream is closed the next file or socket would get its number, and the log with it.
void open_closed_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0) (void)::open("/dev/null", O_RDWR);  // takes the lowest number: this one
}

int run(const Command& command, const std::vector<std::string>& arguments) {
  try {
    return command.run(arguments);
  } catch (const std::bad_alloc&) {
    return pagoda::fail("there is too little memory");
  } catch (const std::exception& error) {
    return pagoda::fail(error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  open_closed_streams();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of write()
  std::set_terminate(end_with_words);
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
    if (name == command.name) return run(command, arguments);
  std::fprintf(stderr, "error: there is no command '%s'\n\n%s", name.c_str(), kUsage);
  return 2;
}
