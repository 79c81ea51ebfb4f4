// Requests around one field, for the tests of the openai room.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "openai/requests.h"

namespace pagoda::testing {

inline constexpr char kChatBase[] = R"("messages":[{"role":"user","content":"hi"}])";
inline constexpr char kTextBase[] = R"("prompt":"hi")";

inline std::string chat_body(const std::string& field) {
  return "{" + std::string(kChatBase) + "," + field + "}";
}
inline std::string text_body(const std::string& field) {
  return "{" + std::string(kTextBase) + "," + field + "}";
}

inline ParsedRequest chat(const std::string& body) {
  Result<ParsedRequest> request = parse_chat_request(body, {});
  EXPECT_TRUE(request.ok()) << request.status().message() << " for " << body;
  return request.ok() ? std::move(*request) : ParsedRequest();
}
inline ParsedRequest text(const std::string& body) {
  Result<ParsedRequest> request = parse_completion_request(body, {});
  EXPECT_TRUE(request.ok()) << request.status().message() << " for " << body;
  return request.ok() ? std::move(*request) : ParsedRequest();
}

inline void expect_error(const Status& status, const std::string& param, const std::string& body) {
  std::string shown = body.substr(0, 200);
  ASSERT_FALSE(status.ok()) << "accepted: " << shown;
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << shown;
  EXPECT_EQ(status.param(), param) << shown << " -> " << status.message();
  EXPECT_LT(status.message().size(), 500u) << shown;
}

struct BadCase {
  const char* field;
  const char* param;
};

}  // namespace pagoda::testing
