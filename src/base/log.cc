#include "base/log.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <memory>
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
// Of a message, before it is escaped, which makes at most five bytes of one: a line always fits the queue.
constexpr std::size_t kMessageBytesMax = kQueueBytesMax / 8;
constexpr milliseconds kTimeoutAtExit{1000};

std::atomic<uint64_t> num_dropped{0};

// The words of vLLM's log, and colours for terminals.
struct LevelName {
  std::string_view name, colour;
};
constexpr LevelName kLevels[] = {{"TRACE", "\033[37m"},
                                 {"DEBUG", "\033[36m"},
                                 {"INFO", "\033[32m"},
                                 {"WARNING", "\033[33m\033[1m"},
                                 {"ERROR", "\033[31m\033[1m"},
                                 {"CRITICAL", "\033[31m\033[1m"},
                                 {"OFF", ""}};

class LevelFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string_view name = kLevels[message.level].name;
    out.append(name.data(), name.data() + name.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<LevelFlag>(); }
};

std::unique_ptr<spdlog::formatter> make_formatter(LogFormat format) {
  constexpr const char* kPlain = "%^%*%$ %m-%d %H:%M:%S %v";
  constexpr const char* kJson =
      R"({"asctime": "%Y-%m-%d %H:%M:%S", "levelname": "%*", "name": "pagoda", "process": %P, "message": "%v"})";
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<LevelFlag>('*').set_pattern(format == LogFormat::kJson ? kJson : kPlain);
  return formatter;
}

bool is_colourful() {
  static const bool colourful = [] {
    const std::string terminal = environment("TERM").value_or("");
    return ::isatty(STDERR_FILENO) == 1 && !terminal.empty() && terminal != "dumb" &&
           !environment("NO_COLOR");
  }();
  return colourful;
}

// All of it, however long that takes. How many lines could not be written: the disk is full, the pipe closed.
uint64_t write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {  // another process that shares it has made it non-blocking
      pollfd writable{STDERR_FILENO, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
    }
  }
  return 0;
}

// Never destroyed: the last thread to end may still log.
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

  bool flush(milliseconds timeout) {
    if (::getpid() != process_) return true;  // a child of fork(): the thread stayed behind
    std::unique_lock lock(mutex_);
    return written_.wait_for(lock, timeout, [this] { return idle_ && queue_.empty(); });
  }

 private:
  Writer() : process_(::getpid()) {
    queue_.reserve(4096);
    sigset_t all, before;  // signals are for the others
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    std::thread([this] { run(); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    std::atexit([] { flush_log(kTimeoutAtExit); });
  }

  void run() noexcept {
    std::string text;
    for (uint64_t num_untold = 0;;) {
      {
        std::unique_lock lock(mutex_);
        idle_ = true;
        if (queue_.empty()) written_.notify_all();
        filled_.wait(lock, [this] { return !queue_.empty(); });
        idle_ = false;
        text.swap(queue_);
        num_untold += std::exchange(num_untold_, 0);
      }
      const uint64_t num_lost = write_all(text);
      num_dropped.fetch_add(num_lost, std::memory_order_relaxed);
      num_untold += num_lost;
      text.clear();
      if (num_untold > 0 && num_lost == 0) tell_of(std::exchange(num_untold, 0));
    }
  }

  static void tell_of(uint64_t num_untold) {
    log_warning(
        "{} lines of the log were dropped before this one: they were not read fast enough, or could not "
        "be written.",
        num_untold);
  }

  const pid_t process_;
  std::mutex mutex_;
  std::condition_variable filled_, written_;
  std::string queue_;        // guarded
  uint64_t num_untold_ = 0;  // guarded: dropped since the last line that said so
  bool idle_ = true;         // guarded: the thread holds no text
};

// spdlog's own queue blocks at exit() for as long as there is no reader; this one hands lines to Writer.
class QueueSink : public spdlog::sinks::sink {
 public:
  QueueSink() : formatter_(make_formatter(LogFormat::kText)) {}
  void log(const spdlog::details::log_msg& message) override {
    std::lock_guard lock(mutex_);
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    const std::string_view text(line.data(), line.size());
    if (!is_colourful() || message.color_range_end <= message.color_range_start)
      return Writer::instance().put(text);
    Writer::instance().put(fmt::format(
        "{}{}{}\033[m{}", text.substr(0, message.color_range_start), kLevels[message.level].colour,
        text.substr(message.color_range_start, message.color_range_end - message.color_range_start),
        text.substr(message.color_range_end)));
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    std::lock_guard lock(mutex_);
    formatter_ = std::move(formatter);
  }

 private:
  std::mutex mutex_;                              // a formatter remembers the second it has last written
  std::unique_ptr<spdlog::formatter> formatter_;  // guarded
};

void count_dropped(const std::string&) noexcept {
  num_dropped.fetch_add(1, std::memory_order_relaxed);
}

// Never destroyed either.
spdlog::logger& logger() {
  static spdlog::logger* instance = [] {
    auto* made = new spdlog::logger("pagoda", std::make_shared<QueueSink>());
    made->set_error_handler(count_dropped);  // no memory for the line
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum level_of(LogLevel level) {
  constexpr spdlog::level::level_enum kOf[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                               spdlog::level::err, spdlog::level::off};
  return kOf[static_cast<std::size_t>(level)];
}

std::atomic<bool> lines_are_json{false};

std::string json_text(std::string_view escaped) {
  std::string out;
  for (char c : escaped) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// The beginning of a message that is too long, which ends with a whole character.
std::string_view fitting(std::string_view message) {
  if (message.size() <= kMessageBytesMax) return message;
  std::size_t end = kMessageBytesMax;
  for (int i = 0; i < 3 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80; ++i) --end;
  return message.substr(0, end);
}

// Control characters, what turns or ends lines, and what cannot be seen; but for the joiners, which words and
// emoji are made with.
bool is_escaped(uint32_t code) {
  constexpr struct {
    uint32_t first, last;
  } kRanges[] = {{0, 0x1F},        {0x7F, 0x9F},       {0xAD, 0xAD},       {0x061C, 0x061C},
                 {0x180E, 0x180E}, {0x200B, 0x200B},   {0x200E, 0x200F},   {0x2028, 0x202E},
                 {0x2060, 0x206F}, {0xE000, 0xF8FF},   {0xFEFF, 0xFEFF},   {0xFFF0, 0xFFFB},
                 {0xFFFE, 0xFFFF}, {0xE0000, 0xE0FFF}, {0xF0000, 0x10FFFF}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](const auto& range) { return code >= range.first && code <= range.last; });
}

void append_escaped(std::string* out, uint32_t code) {
  if (code == '\n')
    *out += "\\n";
  else if (code == '\r')
    *out += "\\r";
  else if (code == '\t')
    *out += "\\t";
  else
    *out += code < 0x80      ? fmt::format("\\x{:02x}", code)
            : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                             : fmt::format("\\U{:08x}", code);
}

// All but the characters in `kept`, which are ASCII.
std::string escaped(std::string_view text, std::string_view kept) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text, pos);
    if (!c.valid)
      for (uint32_t i = 0; i < c.length; ++i)
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[pos + i]));
    else if (is_escaped(c.code_point) && kept.find(text[pos]) == std::string_view::npos)
      append_escaped(&out, c.code_point);
    else
      out.append(text, pos, c.length);
    pos += c.length;
  }
  return out;
}

// `message`: the beginning of one of `size` bytes.
void write_line(LogLevel level, std::string_view message, std::size_t size) {
  const std::string_view shown = fitting(message);
  std::string line = escape_for_log(shown);
  if (shown.size() < size) line += fmt::format("... ({} bytes left out)", size - shown.size());
  logger().log(level_of(level), lines_are_json ? std::string_view(json_text(line)) : std::string_view(line));
}

}  // namespace

std::string escape_for_log(std::string_view text) {
  return escaped(text, "");
}

std::string escape_for_terminal(std::string_view text) {
  return escaped(text, "\n\t");
}

bool write_within(int fd, std::string_view text, milliseconds timeout) noexcept {
  const Clock::time_point end = Clock::now() + timeout;
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
  logger().set_level(level_of(level));
}
void set_log_format(LogFormat format) noexcept {
  lines_are_json = format == LogFormat::kJson;
  logger().set_formatter(make_formatter(format));
}
bool log_enabled(LogLevel level) noexcept {
  return level != LogLevel::kOff && logger().should_log(level_of(level));
}

void log_write(LogLevel level, std::string_view message) noexcept {
  if (!log_enabled(level)) return;
  try {
    write_line(level, message, message.size());
  } catch (const std::exception&) {  // no memory for the line
    num_dropped.fetch_add(1, std::memory_order_relaxed);
  }
}

void log_format(LogLevel level, fmt::string_view format, fmt::format_args args) noexcept {
  try {
    if (!log_enabled(level)) return;
    // Behind what fits, a little more: the last character may have to go.
    std::string message;
    const std::size_t size =
        fmt::vformat_to_n(std::back_inserter(message), kMessageBytesMax + 4, format, args).size;
    write_line(level, message, size);
  } catch (const std::exception&) {
    num_dropped.fetch_add(1, std::memory_order_relaxed);
  }
}

uint64_t num_log_lines_dropped() noexcept {
  return num_dropped.load(std::memory_order_relaxed);
}

bool flush_log(milliseconds timeout) noexcept {
  try {
    return Writer::instance().flush(timeout);
  } catch (const std::exception&) {
    return false;
  }
}

void check_failed(const char* file, int line, const char* condition, const char* message) {
  flush_log(kTimeoutAtExit);
  char text[1024];
  const auto end = fmt::format_to_n(text, sizeof text, "{}:{}: invariant broken: {} ({})\n", file, line,
                                    message, condition);
  write_within(STDERR_FILENO, {text, std::min(end.size, sizeof text)}, kTimeoutAtExit);
  std::abort();
}

}  // namespace pagoda
