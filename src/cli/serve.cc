// `pagoda serve`: from flags to a running server, and its orderly end.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
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
#include "base/memory_reserve.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/environment.h"
#include "cli/serve_args.h"
#include "cli/serve_flags.h"
#include "server/api_server.h"

namespace pagoda {
namespace {

constexpr const char* kUsage =
    "usage: pagoda serve [MODEL] [flags]\n"
    "Serves MODEL, a Hugging Face folder (or ORG/NAME in the local Hugging Face cache), over an "
    "OpenAI-compatible HTTP API.\n"
    "Without MODEL the built-in demo model is served. Dashes and underscores are equal; sizes may be 8k "
    "(8000) or 8K (8192).\n";

void print_welcome(const ApiServer& server, const ServeArgs& args, const Assembly& assembly) {
  if (!args.api.http.uds.empty()) {
    log_info("Listening on unix:{}", args.api.http.uds);
    return;
  }
  std::string host = args.api.http.host;
  if (host.empty() || host == "0.0.0.0" || host == "::") host = "localhost";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";  // an IPv6 address
  std::string url =
      (args.api.http.tls.enabled() ? "https://" : "http://") + host + ":" + std::to_string(server.port());
  const std::string& model = assembly.model->served_names.front();
  bool has_keys = !args.api.api_keys.empty();
  if (args.engine.model.path.empty() && args.engine.model.load_format != "dummy" && !args.quiet) {
    const std::string text = fmt::format(
        "\nPagoda is serving its built-in demo model: a very small one, made to try the server with.\n"
        "It listens on {} and speaks the OpenAI API. Ctrl-C ends it. Try:\n\n"
        "  curl {}/v1/chat/completions -H 'Content-Type: application/json' {}\\\n"
        "    -d '{{\"messages\": [{{\"role\": \"user\", \"content\": \"What is Pagoda?\"}}]}}'\n\n"
        "A model of yours: ./pagoda serve PATH. A chat in the terminal: ./pagoda chat.\n\n",
        url, url, has_keys ? "-H 'Authorization: Bearer KEY' " : "");
    write_within(STDOUT_FILENO, text, std::chrono::milliseconds(200));
  }
  log_info("Serving {} on {}", model, url);
}

// What is dangerous and may well be meant: a line each.
void warn_of_exposure(const ServeArgs& args, int port) {
  const std::string& host = args.api.http.host;
  const bool everywhere = args.api.http.uds.empty() && (host.empty() || host == "0.0.0.0" || host == "::");
  if (everywhere && args.api.api_keys.empty())
    log_warning(
        "Anyone who reaches this machine on port {} can use the model: it is served on all interfaces and "
        "without a key. Give --api-key KEY, or --host 127.0.0.1.",
        port);
  if (::geteuid() == 0)
    log_warning("Running as root, which serving never needs: start it as a user of its own.");
}

// Of the signals that end a process unless it says otherwise, those that mean nothing to a service; the
// real-time ones are others.
constexpr int kMeaningless[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT};

std::string signal_name(int signal) {
  if (signal >= SIGRTMIN) return fmt::format("SIGRTMIN+{}", signal - SIGRTMIN);
  return fmt::format("SIG{}", sigabbrev_np(signal));
}

// The signals of a service, blocked in every thread made after this and taken by the one that waits. SIGHUP
// ends it like SIGTERM, but under nohup, which ignores it; a signal that already has a handler (of a
// profiler) keeps it.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (int signal : {SIGINT, SIGTERM}) sigaddset(&set_, signal);
    add_if_default(SIGHUP);
    for (int signal : kMeaningless) add_if_default(signal);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) add_if_default(signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }

  // The one that asks for the end; 0: none for so long.
  int wait(std::chrono::milliseconds timeout) const {
    const timespec until{0, std::chrono::nanoseconds(timeout).count()};
    const int signal = sigtimedwait(&set_, nullptr, &until);
    if (signal <= 0) return 0;
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) return signal;
    log_info("{} is ignored: it has no meaning here.", signal_name(signal));
    return 0;
  }

  // From here on a second SIGINT or SIGTERM ends the process at once. SIGHUP, which supervisors send right
  // after SIGTERM, does not.
  void end_at_next() const {
    sigset_t again;
    sigemptyset(&again);
    for (int signal : {SIGINT, SIGTERM}) {
      std::signal(signal, SIG_DFL);
      sigaddset(&again, signal);
    }
    pthread_sigmask(SIG_UNBLOCK, &again, nullptr);
  }

 private:
  void add_if_default(int signal) {
    struct sigaction action = {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_DFL) sigaddset(&set_, signal);
  }

  sigset_t set_;
};

// Waits for a signal to end (0), or for the engine's death (1).
int wait_for_end(const Engine& engine, const Signals& signals) {
  for (;;) {
    if (signals.wait(std::chrono::milliseconds(250)) > 0) return 0;
    if (!engine.is_healthy()) {
      log_error("The engine has died: {}", engine.failure());
      return 1;
    }
  }
}

// Ends the process at a signal that comes while the model is loaded: no thread waits for the signals yet, and
// loading may take minutes.
class LoadingInterrupt {
 public:
  explicit LoadingInterrupt(const Signals& signals)
      : watcher_([&signals](const std::stop_token& loaded) {
          while (!loaded.stop_requested()) {
            const int signal = signals.wait(std::chrono::milliseconds(50));
            if (signal == 0) continue;
            log_warning("Interrupted while loading.");
            flush_log(std::chrono::seconds(1));
            std::_Exit(128 + signal);
          }
        }) {}

 private:
  std::jthread watcher_;
};

// The HTTP room calls its settings by their fields: here they are flags.
int fail_to_bind(const Status& status) {
  std::string flag = status.param();
  std::ranges::replace(flag, '_', '-');
  return fail(flag.empty() ? status.message() : "flag --" + flag + ": " + status.message());
}

// Fails early, before minutes of loading, if the address is taken.
Status try_address(const HttpServerConfig& config) {
  HttpServer probe(config);
  return probe.bind();
}

int serve(const ServeArgs& args, const Signals& signals) {
  share_one_heap_under_a_limit();
  if (Status status = try_address(args.api.http); !status.ok()) return fail_to_bind(status);
  log_info("Pagoda {}: loading {}", kVersion,
           args.engine.model.path.empty() ? kDemoModelName : args.engine.model.path);
  std::optional<LoadingInterrupt> interrupt(std::in_place, signals);
  Result<std::unique_ptr<Assembly>> assembly = assemble(args.engine);
  interrupt.reset();
  if (!assembly.ok()) return fail(assembly.status().message());
  constexpr std::size_t kForRequests = std::size_t{64} << 20;
  if (!has_room_for(kReserveBytes + kForRequests) || !keep_memory_reserve())
    return fail(
        fmt::format("too little memory is left for requests beside the model and its KV cache ({} MiB are "
                    "needed): raise the limit (ulimit -v), or use a smaller --kv-cache-memory-bytes, "
                    "--gpu-memory-utilization or --max-num-batched-tokens",
                    (kReserveBytes + kForRequests) >> 20));
  Assembly& parts = **assembly;

  ApiServer server(args.api, parts.intake.get(), parts.engine.get(), &parts.metrics);
  if (Status status = server.bind(); !status.ok()) return fail_to_bind(status);
  CpuBinding off_the_compute_cores(parts.cpus.spare);
  if (Status status = server.start(); !status.ok()) return fail(status.message());
  print_welcome(server, args, parts);
  warn_of_exposure(args, server.port());
  log_info("Application startup complete.");

  int exit_code = wait_for_end(*parts.engine, signals);
  signals.end_at_next();
  log_info("Shutting down: running requests have {} s to end.", args.shutdown_timeout_s);
  if (!server.drain_and_stop(exit_code == 0 ? args.shutdown_timeout_s : 1))
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
  const Signals signals;
  Result<ParsedCommand> parsed = parse_with_config(serve_flag_table(), arguments);
  if (!parsed.ok()) return fail(parsed.status().message());
  Result<ServeArgs> args = serve_args(*parsed);
  if (!args.ok()) return fail(args.status().message());
  set_log_level(args->log.level);
  set_log_format(args->log.format);
  report_unused_flags(serve_flag_table(), parsed->flags);
  report_swallowed_model(serve_flag_table(), *parsed);
  if (Status status = report_variables(parsed->flags.flag("fail-on-environ-validation", false)); !status.ok())
    return fail(status.message());
  return serve(*args, signals);
}

}  // namespace pagoda
