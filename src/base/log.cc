#include "base/log.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/env.h"
#include "base/utf8.h"

namespace pagoda {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kQueueBytesMax = std::size_t{1} << 20;
constexpr milliseconds kPatienceAtExit{1000};

std::atomic<LogLevel> lowest{LogLevel::kInfo};
std::atomic<LogFormat> format_of_lines{LogFormat::kText};
std::atomic<uint64_t> num_dropped{0};

struct LevelName {
  std::string_view name, colour;
};
constexpr LevelName kLevels[] = {{"DEBUG", "\033[36m"},
                                 {"INFO", "\033[32m"},
                                 {"WARNING", "\033[33m\033[1m"},
                                 {"ERROR", "\033[31m\033[1m"}};

bool is_colourful() {
  static const bool colourful = [] {
    const std::string terminal = environment("TERM").value_or("");
    return ::isatty(STDERR_FILENO) == 1 && !terminal.empty() && terminal != "dumb" &&
           !environment("NO_COLOR");
  }();
  return colourful;
}

std::string json_text(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// `message` is escaped already.
std::string make_line(LogLevel level, std::string_view message) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char date[32];
  const LevelName& shown = kLevels[static_cast<std::size_t>(level)];
  if (format_of_lines.load(std::memory_order_relaxed) == LogFormat::kJson) {
    std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local);
    return fmt::format(
        R"({{"asctime": "{}", "levelname": "{}", "name": "pagoda", "process": {}, "message": "{}"}})"
        "\n",
        date, shown.name, ::getpid(), json_text(message));
  }
  std::strftime(date, sizeof date, "%m-%d %H:%M:%S", &local);
  if (is_colourful()) return fmt::format("{}{}\033[m {} {}\n", shown.colour, shown.name, date, message);
  return fmt::format("{} {} {}\n", shown.name, date, message);
}

// All of it, however long that takes; what can not be written to (a closed descriptor) swallows it.
void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {  // somebody who shares it has made it non-blocking
      pollfd writable{STDERR_FILENO, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

// Never destroyed: whoever ends last may still have something to say.
class Writer {
 public:
  static Writer& instance() {
    static Writer* writer = new Writer;
    return *writer;
  }

  void put(std::string_view line) {
    {
      std::lock_guard lock(mutex_);
      if (queue_.size() + line.size() > kQueueBytesMax) {
        ++num_untold_;
        num_dropped.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      queue_.append(line);
    }
    filled_.notify_one();
  }

  bool flush(milliseconds patience) {
    if (::getpid() != process_) return true;  // a child of fork(): the thread stayed behind
    std::unique_lock lock(mutex_);
    return written_.wait_for(lock, patience, [this] { return idle_ && queue_.empty(); });
  }

 private:
  Writer() : process_(::getpid()) {
    queue_.reserve(4096);
    sigset_t all, before;  // signals are for the others
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    std::thread([this] { run(); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    std::atexit([] { flush_log(kPatienceAtExit); });
  }

  void run() noexcept {
    std::string text;
    for (;;) {
      uint64_t num_untold = 0;
      {
        std::unique_lock lock(mutex_);
        idle_ = true;
        if (queue_.empty()) written_.notify_all();
        filled_.wait(lock, [this] { return !queue_.empty(); });
        idle_ = false;
        text.swap(queue_);
        num_untold = std::exchange(num_untold_, 0);
      }
      write_all(text);
      text.clear();
      if (num_untold > 0) tell_of(num_untold);
    }
  }

  static void tell_of(uint64_t num_untold) {
    try {
      write_all(make_line(
          LogLevel::kWarning,
          fmt::format("{} lines of the log were dropped here: nobody read it fast enough.", num_untold)));
    } catch (const std::exception&) {  // the count is in the metrics
    }
  }

  const pid_t process_;
  std::mutex mutex_;
  std::condition_variable filled_, written_;
  std::string queue_;        // guarded
  uint64_t num_untold_ = 0;  // guarded: dropped since the last line that said so
  bool idle_ = true;         // guarded: the thread holds no text
};

bool turns_or_breaks(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E || code == 0x200F ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

void append_escaped(std::string* out, uint32_t code) {
  if (code == '\n')
    *out += "\\n";
  else if (code == '\r')
    *out += "\\r";
  else if (code == '\t')
    *out += "\\t";
  else
    *out += code < 0x80 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
}

}  // namespace

std::string escape_for_log(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text, pos);
    if (!c.valid)
      for (uint32_t i = 0; i < c.length; ++i)
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[pos + i]));
    else if (turns_or_breaks(c.code_point))
      append_escaped(&out, c.code_point);
    else
      out.append(text, pos, c.length);
    pos += c.length;
  }
  return out;
}

bool write_within(int fd, std::string_view text, milliseconds patience) noexcept {
  const Clock::time_point end = Clock::now() + patience;
  while (!text.empty()) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now()).count();
    pollfd writable{fd, POLLOUT, 0};
    const int ready = ::poll(&writable, 1, static_cast<int>(std::max<long>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    // A pipe that is ready takes so much without waiting.
    const ssize_t count = ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (count < 0 && errno != EINTR && errno != EAGAIN) return false;
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void set_log_level(LogLevel level) noexcept {
  lowest.store(level, std::memory_order_relaxed);
}
void set_log_format(LogFormat format) noexcept {
  format_of_lines.store(format, std::memory_order_relaxed);
}
bool log_enabled(LogLevel level) noexcept {
  return level != LogLevel::kOff && level >= lowest.load(std::memory_order_relaxed);
}

void log_write(LogLevel level, std::string_view message) noexcept {
  if (!log_enabled(level)) return;
  try {
    Writer::instance().put(make_line(level, escape_for_log(message)));
  } catch (const std::exception&) {  // no memory for the line
    num_dropped.fetch_add(1, std::memory_order_relaxed);
  }
}

void log_format(LogLevel level, fmt::string_view format, fmt::format_args args) noexcept {
  try {
    log_write(level, fmt::vformat(format, args));
  } catch (const std::exception&) {
    num_dropped.fetch_add(1, std::memory_order_relaxed);
  }
}

uint64_t num_log_lines_dropped() noexcept {
  return num_dropped.load(std::memory_order_relaxed);
}

bool flush_log(milliseconds patience) noexcept {
  try {
    return Writer::instance().flush(patience);
  } catch (const std::exception&) {
    return false;
  }
}

void check_failed(const char* file, int line, const char* condition, const char* message) {
  flush_log(kPatienceAtExit);
  char text[1024];
  const auto end = fmt::format_to_n(text, sizeof text, "{}:{}: invariant broken: {} ({})\n", file, line,
                                    message, condition);
  write_within(STDERR_FILENO, {text, std::min(end.size, sizeof text)}, kPatienceAtExit);
  std::abort();
}

}  // namespace pagoda
