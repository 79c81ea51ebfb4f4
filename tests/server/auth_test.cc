#include "server/auth.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

TEST(Auth, KeysGuardEverythingButProbes) {
  const std::vector<std::string> keys = {"first", "second-key"};
  struct Case {
    const char *method, *path, *header;
    bool passes;
  } cases[] = {
      {"GET", "/v1/models", "Bearer first", true},
      {"GET", "/v1/models", "bearer second-key", true},
      {"GET", "/v1/models", nullptr, false},
      {"GET", "/v1/models", "", false},
      {"GET", "/v1/models", "Bearer ", false},
      {"GET", "/v1/models", "first", false},
      {"GET", "/v1/models", "Basic first", false},
      {"GET", "/v1/models", "Bearer firs", false},
      {"GET", "/v1/models", "Bearer first2", false},
      {"GET", "/v1/models", "Bearer firstfirst", false},
      {"GET", "/v1/models", "Bearer firstsecond-key", false},
      {"OPTIONS", "/v1/models", nullptr, true},
      {"POST", "/v2/embed", nullptr, false},
      {"POST", "/inference/v1/generate", nullptr, false},
      {"GET", "/health", nullptr, true},
      {"GET", "/health/", nullptr, true},
      {"GET", "/ping", nullptr, true},
      {"GET", "/version", nullptr, true},
      {"GET", "/load", nullptr, true},
      {"GET", "/metrics", nullptr, true},
      {"GET", "/metrics/", nullptr, true},
      {"GET", "/healthy", nullptr, false},
      {"GET", "/health/x", nullptr, false},
      {"POST", "/tokenize", nullptr, false},
      {"POST", "/tokenize", "Bearer first", true},
      {"POST", "/tokenize/", nullptr, false},
      {"POST", "/detokenize", nullptr, false},
      {"GET", "/tokenizer_info", nullptr, false},
      {"GET", "/", nullptr, false},
      {"GET", "/nothing", nullptr, false},
      {"POST", "/pause", nullptr, false},
      {"POST", "/pause", "Bearer first", true},
      {"POST", "/sleep", nullptr, false},
      {"POST", "/reset_prefix_cache", nullptr, false},
      {"POST", "/abort_requests", "Bearer x", false},
      {"GET", "/is_paused", nullptr, false},
  };
  for (const Case& one : cases) {
    HttpRequest request;
    request.method = one.method;
    request.path = one.path;
    if (one.header != nullptr) request.headers.emplace_back("Authorization", one.header);
    auto refusal = check_api_key(request, keys);
    EXPECT_EQ(!refusal.has_value(), one.passes)
        << one.path << " " << (one.header == nullptr ? "" : one.header);
    if (refusal) {
      EXPECT_EQ(refusal->status, 401);
      EXPECT_EQ(refusal->body, R"({"error":"Unauthorized"})");
    }
    EXPECT_FALSE(check_api_key(request, {}).has_value()) << "no key is set";
  }
}

}  // namespace
}  // namespace pagoda
