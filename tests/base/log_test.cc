#include "base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "base/check.h"

namespace pagoda {
namespace {

using std::chrono::milliseconds;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr milliseconds kPatience{20000};

// Standard error is this pipe for as long as it lives.
class PipeAsStderr {
 public:
  PipeAsStderr() {
    flush_log(kPatience);
    before_ = ::dup(STDERR_FILENO);
    EXPECT_EQ(::pipe(ends_), 0);
    ::fcntl(ends_[1], F_SETPIPE_SZ, 4096);
    ::dup2(ends_[1], STDERR_FILENO);
  }
  ~PipeAsStderr() {
    ::dup2(before_, STDERR_FILENO);
    for (int fd : {before_, ends_[0], ends_[1]}) ::close(fd);
  }
  // Reads until `words` have come.
  std::string read_until(const std::string& words) {
    std::string text;
    char buffer[4096];
    while (text.find(words) == std::string::npos) {
      const ssize_t count = ::read(ends_[0], buffer, sizeof buffer);
      if (count <= 0) return text;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }

 private:
  int before_ = -1, ends_[2] = {-1, -1};
};

TEST(Log, LooksLikeVllmsAndKeepsItsOrder) {
  PipeAsStderr pipe;
  for (int i = 0; i < 50; ++i) log_info("line {}", i);
  log_debug("not shown");
  log_warning("last");
  const std::string text = pipe.read_until("last\n");
  EXPECT_THAT(text, ContainsRegex("^INFO [0-9]+-[0-9]+ [0-9]+:[0-9]+:[0-9]+ line 0\nINFO "));
  EXPECT_THAT(text, ContainsRegex("line 49\nWARNING [0-9-]+ [0-9:]+ last\n$"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("not shown")));
}

TEST(Log, APipeThatNobodyReadsStopsNobody) {
  PipeAsStderr pipe;
  const uint64_t before = num_log_lines_dropped();
  const std::string words(1000, 'x');
  for (int i = 0; i < 5000; ++i) log_info("{} {}", i, words);  // five times what the queue holds
  EXPECT_GT(num_log_lines_dropped(), before);
  EXPECT_FALSE(flush_log(milliseconds(20)));
  const std::string text = pipe.read_until("lines of the log were dropped");
  EXPECT_THAT(text, HasSubstr("\nINFO"));
  log_info("it flows again");
  EXPECT_THAT(pipe.read_until("it flows again\n"), HasSubstr("it flows again"));
}

TEST(Log, ManyThreadsLoseNothingThatThereIsRoomFor) {
  PipeAsStderr pipe;
  std::thread reader([&] {
    std::string text = pipe.read_until("done");
    for (int t = 0; t < 4; ++t)
      for (int i = 0; i < 200; ++i)
        EXPECT_THAT(text, HasSubstr(" thread " + std::to_string(t) + " line " + std::to_string(i) + "\n"));
  });
  std::thread writers[4];
  for (int t = 0; t < 4; ++t)
    writers[t] = std::thread([t] {
      for (int i = 0; i < 200; ++i) log_info("thread {} line {}", t, i);
    });
  for (std::thread& writer : writers) writer.join();
  log_info("done");
  reader.join();
}

TEST(Log, WhatWouldBreakALineIsEscaped) {
  const struct {
    std::string raw, shown;
  } cases[] = {
      {"plain text, 7°C, 東京, 👍🏽, a\u200dz", "plain text, 7°C, 東京, 👍🏽, a\u200dz"},
      {"a\nINFO forged\r\tx", "a\\nINFO forged\\r\\tx"},
      {std::string("\0\x1b[31m\x7f", 7), "\\x00\\x1b[31m\\x7f"},
      {"\u0085\u009b\u0080", "\\u0085\\u009b\\u0080"},
      {"\u2028\u2029", "\\u2028\\u2029"},
      {"\ufeff\u200b\u2060\ufff9\U000e0041", "\\ufeff\\u200b\\u2060\\ufff9\\U000e0041"},
      {"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
       "\\u202a\\u202b\\u202c\\u202d\\u202e\\u2066\\u2067\\u2068\\u2069\\u200e\\u200f\\u061c"},
      {"\xff\xc3(\xe2\x82", "\\xff\\xc3(\\xe2\\x82"},
  };
  for (const auto& [raw, shown] : cases) EXPECT_EQ(escape_for_log(raw), shown);
  PipeAsStderr pipe;
  log_error("{}", cases[1].raw);
  log_info("end");
  const std::string text = pipe.read_until("end\n");
  EXPECT_THAT(text, HasSubstr("a\\nINFO forged\\r\\tx\n"));
}

TEST(Log, WhatAPersonReadsKeepsItsLines) {
  EXPECT_EQ(escape_for_terminal("a\n\tb 東京\r\x1b]0;title\x07\u009b\u202e\xff"),
            "a\n\tb 東京\\r\\x1b]0;title\\x07\\u009b\\u202e\\xff");
  EXPECT_EQ(escape_for_terminal(std::string_view("\0", 1)), "\\x00");
}

TEST(Log, LinesThatCannotBeWrittenAreCountedAndToldOfLater) {
  PipeAsStderr pipe;
  const int full = ::open("/dev/full", O_WRONLY), before = ::dup(STDERR_FILENO);
  ASSERT_GE(full, 0);
  ::dup2(full, STDERR_FILENO);
  const uint64_t dropped = num_log_lines_dropped();
  for (int i = 0; i < 3; ++i) log_info("lost {}", i);
  EXPECT_TRUE(flush_log(kPatience));
  EXPECT_EQ(num_log_lines_dropped() - dropped, 3U);
  ::dup2(before, STDERR_FILENO);
  for (int fd : {full, before}) ::close(fd);
  log_info("there is room again");
  EXPECT_THAT(pipe.read_until("could not be written."),
              ContainsRegex("^INFO .* there is room again\nWARNING .* 3 lines of the log were dropped"));
  EXPECT_EQ(num_log_lines_dropped() - dropped, 3U);
}

TEST(Log, ALineThatIsTooLongIsClippedAndSaysSo) {
  for (LogFormat format : {LogFormat::kText, LogFormat::kJson})
    for (const std::string piece : {"x", "東", "\xff", "\x01"}) {  // the last ones grow when they are escaped
      PipeAsStderr pipe;
      set_log_format(format);
      const uint64_t before = num_log_lines_dropped();
      std::string message = "begins ";
      while (message.size() < (3u << 20)) message += piece;
      log_info("{}", message);
      set_log_format(LogFormat::kText);
      log_info("end");
      const std::string text = pipe.read_until(" end\n");
      EXPECT_EQ(num_log_lines_dropped(), before);
      const std::size_t mark = text.rfind("... (");
      ASSERT_NE(mark, std::string::npos);
      const std::size_t kept = message.size() - std::stoul(text.substr(mark + 5));
      const std::string shown = escape_for_log(message.substr(0, kept));
      if (format == LogFormat::kText) {
        EXPECT_TRUE(text.substr(0, mark).ends_with(" begins " + shown.substr(7)));
      }
      EXPECT_GT(kept, 100'000u);
      EXPECT_EQ((kept - 7) % piece.size(), 0u) << "a whole character";
      EXPECT_LT(text.size(), 1u << 20);
    }
  PipeAsStderr pipe;
  const std::string fits(100'000, 'y');
  log_info("{}", fits);
  EXPECT_THAT(pipe.read_until("\n"), HasSubstr(fits + "\n"));
}

TEST(Log, JsonLinesForCollectors) {
  PipeAsStderr pipe;
  set_log_format(LogFormat::kJson);
  log_info("he said \"no\"\n");
  set_log_format(LogFormat::kText);
  log_info("end");
  EXPECT_THAT(pipe.read_until("end\n"),
              ContainsRegex("\"levelname\": \"INFO\", \"name\": \"pagoda\", .*\"message\": \"he said "
                            "\\\\\"no\\\\\"\\\\\\\\n\"}\n"));
}

// In a process of its own: exit() and a broken invariant wait for what there is, but not for ever.
int end_with_full_pipe(void (*end)(), double* seconds) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    const std::string fill(4096, '.');
    EXPECT_TRUE(write_within(STDERR_FILENO, fill, milliseconds(100)));
    end();
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  *seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  ::close(ends[0]);
  ::close(ends[1]);
  return status;
}

TEST(Log, ABrokenInvariantEndsTheProcessThoughNobodyReadsWhy) {
  double seconds = 0;
  const int status = end_with_full_pipe([] { PAGODA_CHECK(false, "a test"); }, &seconds);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
  EXPECT_LT(seconds, 10);
}

TEST(LogDeathTest, ABrokenInvariantSaysSo) {
  EXPECT_DEATH(PAGODA_CHECK(1 > 2, "words of the check"), "words of the check");
}

TEST(WriteWithin, GivesUpOnAPipeThatNobodyReads) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  EXPECT_TRUE(write_within(ends[1], "words", milliseconds(0)));
  EXPECT_FALSE(write_within(ends[1], std::string(100'000, 'x'), milliseconds(5)));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace pagoda
