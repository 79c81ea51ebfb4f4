// The log: one line per event, vLLM's shape (`INFO 11-20 12:00:00 message`) so that scripts that look for a
// line find it. Thread-safe, and never waits for its reader: lines go into a bounded queue, a thread
// writes them to standard error, and what finds the queue full is dropped and counted. Nothing here throws.
// Control characters never leave it raw (escape_for_log). Never called on the per-token path.
#pragma once
#include <fmt/core.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace pagoda {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

void set_log_level(LogLevel level) noexcept;
void set_log_format(LogFormat format) noexcept;
bool log_enabled(LogLevel level) noexcept;
void log_write(LogLevel level, std::string_view message) noexcept;
void log_format(LogLevel level, fmt::string_view format, fmt::format_args args) noexcept;
// Lines dropped since the start: the queue was full, the write failed, or there was no memory for them.
uint64_t num_log_lines_dropped() noexcept;
// Waits until all lines are written, at most so long; false if some are not. Done by exit(), and before we
// end the process in another way.
bool flush_log(std::chrono::milliseconds timeout) noexcept;

// Control characters (C0, DEL, C1), line and paragraph separators, marks that turn the direction of writing
// and bytes that are not UTF-8, as \n, \x1b, \u202e, \xff: a line stays one line and means what it shows.
std::string escape_for_log(std::string_view text);
// The same for a person to read, as what a server sent: new lines and tabs stay what they are.
std::string escape_for_terminal(std::string_view text);
// Writes at once to a descriptor that may be a pipe without a reader; waits for it so long at most. For
// banners and last words. Async-signal-safe.
bool write_within(int fd, std::string_view text, std::chrono::milliseconds timeout) noexcept;

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) noexcept {
  if (log_enabled(LogLevel::kDebug)) log_format(LogLevel::kDebug, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) noexcept {
  if (log_enabled(LogLevel::kInfo)) log_format(LogLevel::kInfo, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) noexcept {
  if (log_enabled(LogLevel::kWarning)) log_format(LogLevel::kWarning, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) noexcept {
  if (log_enabled(LogLevel::kError)) log_format(LogLevel::kError, format, fmt::make_format_args(args...));
}

}  // namespace pagoda
