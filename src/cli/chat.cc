// `pagoda chat`: talk to a running server or, with none, to the built-in model in this process.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>

#include "base/env.h"
#include "base/log.h"
#include "cli/chat_backend.h"
#include "cli/commands.h"
#include "cli/flags.h"

namespace pagoda {
namespace {

constexpr FlagSpec kChatFlags[] = {
    {"url", "", "Chat", FlagKind::kString, "http://localhost:8000/v1",
     "The server; without the flag the built-in model "
     "answers where no server does."},
    {"model-name", "", "Chat", FlagKind::kString, "the server's first", "Model to ask for."},
    {"model", "", "Chat", FlagKind::kString, "", "A model folder to run in this process instead."},
    {"api-key", "", "Chat", FlagKind::kString, "", "Key for the server (or OPENAI_API_KEY)."},
    {"system-prompt", "", "Chat", FlagKind::kString, "", "A system message."},
    {"quick", "q", "Chat", FlagKind::kString, "", "Ask this one question, print the answer, and end."},
};
constexpr const char* kUsage =
    "usage: pagoda chat [--url URL] [--model-name NAME] [-q QUESTION]\n"
    "Type a message and Enter; /reset forgets the conversation, /exit or Ctrl-D ends, Ctrl-C stops an "
    "answer.\n"
    "On a terminal an answer's control characters are shown as \\x1b; a pipe or a file gets the answer as it "
    "is.\n";

std::atomic<bool> interrupted{false};
void on_interrupt(int) {
  interrupted = true;
}

Result<std::unique_ptr<ChatBackend>> open_backend(const FlagValues& flags) {
  if (flags.given("model")) return local_chat(flags.text("model"));
  std::string key = flags.text("api-key", environment("OPENAI_API_KEY").value_or(""));
  auto remote = connect_chat(flags.text("url", "http://localhost:8000/v1"), flags.text("model-name"), key);
  if (remote.ok() || flags.given("url")) return remote;
  return local_chat("");
}

Object message(const char* role, const std::string& content) {
  Object object;
  object.set("role", role);
  object.set("content", content);
  return object;
}

// Prints the answer as it comes and adds it to the conversation; false on an error.
bool ask(ChatBackend* backend, Array* messages, const std::string& question) {
  // A terminal would obey what the answer's control characters say; a pipe gets the answer as it is.
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  messages->push_back(message("user", question));
  std::string answer;
  interrupted = false;
  Status status = backend->answer(*messages, [&](std::string_view text) {
    answer += text;
    const std::string shown = terminal ? escape_for_terminal(text) : std::string(text);
    std::fwrite(shown.data(), 1, shown.size(), stdout);
    std::fflush(stdout);
    return !interrupted.load();
  });
  std::fputs("\n", stdout);
  if (!status.ok()) {
    messages->pop_back();
    fail(status.message());
    return false;
  }
  messages->push_back(message("assistant", answer));
  return true;
}

int converse(ChatBackend* backend, const std::string& system_prompt) {
  bool terminal = isatty(STDIN_FILENO) != 0;
  Array start;
  if (!system_prompt.empty()) start.push_back(message("system", system_prompt));
  Array messages = start;
  if (terminal) {
    std::printf("You are talking to %s.\n%s\n", escape_for_log(backend->name()).c_str(),
                "/reset forgets the conversation, /exit or Ctrl-D ends.");
    struct sigaction action = {};
    action.sa_handler = on_interrupt;  // without SA_RESTART: Ctrl-C at the prompt ends the input
    sigaction(SIGINT, &action, nullptr);
  }
  for (std::string line;;) {
    if (terminal) std::fputs("> ", stdout), std::fflush(stdout);
    if (!std::getline(std::cin, line)) break;
    if (line == "/exit" || line == "/quit") break;
    if (line == "/reset") {
      messages = start;
      continue;
    }
    if (!line.empty()) ask(backend, &messages, line);
  }
  if (terminal) std::fputs("\n", stdout);
  return 0;
}

}  // namespace

int run_chat(const std::vector<std::string>& arguments) {
  std::string topic;
  if (wants_help(arguments, &topic)) {
    std::fputs(help_text(kChatFlags, kUsage, topic).c_str(), stdout);
    return 0;
  }
  Result<ParsedCommand> parsed = parse_flags(kChatFlags, arguments);
  if (!parsed.ok()) return fail(parsed.status().message());
  if (!parsed->positional.empty()) return fail("unexpected argument '" + parsed->positional.front() + "'");
  set_log_level(LogLevel::kWarning);
  auto backend = open_backend(parsed->flags);
  if (!backend.ok()) return fail(backend.status().message());
  std::string system_prompt = parsed->flags.text("system-prompt");
  if (!parsed->flags.given("quick")) return converse(backend->get(), system_prompt);
  Array messages;
  if (!system_prompt.empty()) messages.push_back(message("system", system_prompt));
  return ask(backend->get(), &messages, parsed->flags.text("quick")) ? 0 : 1;
}

}  // namespace pagoda
