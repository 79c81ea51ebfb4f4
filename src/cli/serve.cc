// `pagoda serve`: from flags to a running server, and its orderly end.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include "assembly/assemble.h"
#include "assembly/demo_files.h"
#include "base/env.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/serve_flags.h"
#include "cli/serve_options.h"
#include "server/api_server.h"

namespace pagoda {
namespace {

constexpr const char* kUsage =
    "usage: pagoda serve [MODEL] [flags]\n"
    "Serves MODEL, a Hugging Face folder (or ORG/NAME in the local Hugging Face cache), over an "
    "OpenAI-compatible HTTP API.\n"
    "Without MODEL the built-in demo model is served. Dashes and underscores are equal; sizes may be 8k "
    "(8000) or 8K (8192).\n";

void print_welcome(const ApiServer& server, const ServeOptions& options, const Assembly& assembly) {
  if (!options.http.uds.empty()) {
    log_info("Listening on unix:{}", options.http.uds);
    return;
  }
  std::string host = options.http.host;
  if (host.empty() || host == "0.0.0.0" || host == "::") host = "localhost";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";  // an IPv6 address
  std::string url =
      (options.http.tls.enabled() ? "https://" : "http://") + host + ":" + std::to_string(server.port());
  const std::string& model = assembly.model->served_names.front();
  bool has_keys = !options.api_config().api_keys.empty();
  if (options.model.model.empty() && options.model.load_format != "dummy" && !options.quiet) {
    std::printf(
        "\nPagoda is serving its built-in demo model: a very small one, made to try the server with.\n"
        "It listens on %s and speaks the OpenAI API. Ctrl-C ends it. Try:\n\n"
        "  curl %s/v1/chat/completions -H 'Content-Type: application/json' %s\\\n"
        "    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"What is Pagoda?\"}]}'\n\n"
        "A model of yours: ./pagoda serve PATH. A chat in the terminal: ./pagoda chat.\n\n",
        url.c_str(), url.c_str(), has_keys ? "-H 'Authorization: Bearer KEY' " : "");
    std::fflush(stdout);
  }
  log_info("Serving {} on {}", model, url);
}

// Waits for SIGINT or SIGTERM (0), or for the engine's death (1).
int wait_for_end(const Engine& engine, const sigset_t& signals) {
  for (;;) {
    timespec timeout{0, 250'000'000};
    if (sigtimedwait(&signals, nullptr, &timeout) > 0) return 0;
    if (!engine.is_healthy()) {
      log_error("The engine has died: {}", engine.failure());
      return 1;
    }
  }
}

// Ends the process at a signal that comes while the model is loaded: nobody waits for the signals yet, and
// loading may take minutes.
class LoadingInterrupt {
 public:
  explicit LoadingInterrupt(const sigset_t& signals)
      : watcher_([signals](const std::stop_token& loaded) {
          timespec timeout{0, 50'000'000};
          while (!loaded.stop_requested()) {
            int signal = sigtimedwait(&signals, nullptr, &timeout);
            if (signal <= 0) continue;
            log_warning("Interrupted while loading.");
            std::_Exit(128 + signal);
          }
        }) {}

 private:
  std::jthread watcher_;
};

// A second signal while draining ends the process at once.
void end_at_second_signal(const sigset_t& signals) {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

// Fails early, before minutes of loading, if the address is taken.
Status try_address(const HttpServerConfig& config) {
  HttpServer probe(config);
  return probe.bind();
}

int serve(const ServeOptions& options) {
  sigset_t signals;  // blocked in every thread: taken by wait_for_end alone
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  if (Status status = try_address(options.http); !status.ok()) return fail(status.message());
  log_info("Pagoda {}: loading {}", kVersion,
           options.model.model.empty() ? kDemoModelName : options.model.model);
  std::optional<LoadingInterrupt> interrupt(std::in_place, signals);
  Result<std::unique_ptr<Assembly>> assembly = assemble(options.model);
  interrupt.reset();
  if (!assembly.ok()) return fail(assembly.status().message());
  Assembly& parts = **assembly;

  ApiServer server(options.api_config(), parts.intake.get(), parts.engine.get(), &parts.metrics);
  if (Status status = server.bind(); !status.ok()) return fail(status.message());
  CpuBinding off_the_compute_cores(parts.cpus.spare);
  if (Status status = server.start(); !status.ok()) return fail(status.message());
  print_welcome(server, options, parts);
  log_info("Application startup complete.");

  int exit_code = wait_for_end(*parts.engine, signals);
  end_at_second_signal(signals);
  log_info("Shutting down: running requests have {} s to end.", options.shutdown_timeout_s);
  if (!server.drain_and_stop(exit_code == 0 ? options.shutdown_timeout_s : 1))
    log_warning("Some requests were cut off.");
  log_info("Application shutdown complete.");
  return exit_code;
}

}  // namespace

int run_serve(const std::vector<std::string>& arguments) {
  std::string topic;
  if (wants_help(arguments, &topic)) {
    std::fputs(help_text(serve_flag_table(), kUsage, topic).c_str(), stdout);
    return 0;
  }
  Result<ParsedCommand> parsed = parse_with_config(serve_flag_table(), arguments);
  if (!parsed.ok()) return fail(parsed.status().message());
  Result<ServeOptions> options = serve_options(*parsed);
  if (!options.ok()) return fail(options.status().message());
  set_log_level(options->log_level);
  report_unused_flags(serve_flag_table(), parsed->flags);
  return serve(*options);
}

}  // namespace pagoda
