#include "http/sse_reader.h"

#include <gtest/gtest.h>

#include <vector>

namespace pagoda {
namespace {

std::vector<std::string> read(const std::string& stream, std::size_t piece) {
  SseReader reader;
  std::vector<std::string> events;
  auto keep = [&](std::string_view data) {
    events.emplace_back(data);
    return true;
  };
  for (std::size_t i = 0; i < stream.size(); i += piece)
    EXPECT_TRUE(reader.feed(std::string_view(stream).substr(i, piece), keep));
  EXPECT_TRUE(reader.finish(keep));
  return events;
}

TEST(SseReader, HoweverTheBytesArrive) {
  struct Case {
    const char* stream;
    std::vector<std::string> events;
  };
  const Case kCases[] = {
      {"data: a\n\ndata: b\n\n", {"a", "b"}},
      {"data: a\r\n\r\ndata:b\r\n\r\n", {"a", "b"}},
      {"data: a\ndata: b\n\n", {"a\nb"}},
      {"data\n\ndata:\n\n", {""}},
      {": comment\n\nevent: x\nid: 3\nretry: 5\ndata:  two spaces\n\n", {" two spaces"}},
      {"\n\n\ndata: a\n\n\n\n", {"a"}},
      {"data: no end", {"no end"}},
      {"data: no empty line\n", {"no empty line"}},
      {"", {}},
  };
  for (const Case& c : kCases)
    for (std::size_t piece : {1, 2, 5, 1000}) EXPECT_EQ(read(c.stream, piece), c.events) << c.stream << piece;
}

TEST(SseReader, StopsWhenAskedToAndAtAnEndlessEvent) {
  SseReader reader;
  int num_events = 0;
  EXPECT_FALSE(reader.feed("data: a\n\ndata: b\n\n", [&](std::string_view) { return ++num_events, false; }));
  EXPECT_EQ(num_events, 1);
  EXPECT_FALSE(reader.is_endless());
  SseReader endless;
  std::string line = "data: " + std::string(1 << 20, 'x');
  bool go_on = true;
  for (int i = 0; i < 100 && go_on; ++i)
    go_on = endless.feed(line + (i % 2 ? "\n" : ""), [](auto) { return true; });
  EXPECT_FALSE(go_on);
  EXPECT_TRUE(endless.is_endless());
}

}  // namespace
}  // namespace pagoda
