// What a format streams, event by event.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "openai/answer_format.h"

namespace pagoda::testing {

// The data of each event.
inline std::vector<std::string> data_of(const std::string& events) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < events.size();) {
    const std::size_t end = events.find("\n\n", at);
    EXPECT_TRUE(events.compare(at, 6, "data: ") == 0 && end != std::string::npos) << events;
    if (end == std::string::npos) break;
    all.push_back(events.substr(at + 6, end - at - 6));
    at = end + 2;
  }
  return all;
}

inline std::string chunk_of(const AnswerFormat& format, const ResponseHead& head, const ResponseShape& shape,
                            const TextDelta& delta, int32_t index = 0) {
  std::string events;
  format.delta(&events, head, shape, delta, index);
  const std::vector<std::string> all = data_of(events);
  EXPECT_EQ(all.size(), 1u);
  return all[0];
}

// The usage's chunk, which [DONE] follows.
inline std::string usage_chunk_of(const AnswerFormat& format, const ResponseHead& head, ResponseShape shape,
                                  const AnswerEnd& end) {
  std::string events;
  shape.include_usage = true;
  format.end(&events, head, shape, end);
  const std::vector<std::string> all = data_of(events);
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(all.back(), "[DONE]");
  return all[0];
}

}  // namespace pagoda::testing
