#include "server/auth.h"

#include <gtest/gtest.h>

#include "tests/server/server_harness.h"

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

// Over HTTP, keys of any bytes that a header may have: alike are those whose bytes are, whatever text they
// are meant to be.
TEST(Auth, KeysAreBytes) {
  testing::ServerHarness harness;
  harness.config.api_keys = {"cl\u00e9", "\xff\xfe\x80", "\xc2\x85", "\U0001F511 k", "a\u00a0"};
  harness.start();
  const std::pair<std::string, int> cases[] = {
      {"cl\u00e9", 200},     {"\xff\xfe\x80", 200},     {"\xc2\x85", 200},
      {"\U0001F511 k", 200}, {"a\u00a0", 200},          {"cl\xe9", 401},  // Latin-1
      {"cle\u0301", 401},                                                 // decomposed
      {"cl", 401},           {"cl\xc3", 401},           {"cl\u00e9\xc3", 401},
      {"\xff\xfe", 401},     {"\xff\xfe\x80\x80", 401}, {"a", 401},
      {"\u00c3\u00a9", 401}, {"\U0001F511", 401},       {"a\u00a0\u00a0", 401},
  };
  for (const auto& [key, status] : cases) {
    HttpResponse response = harness.call("GET", "/v1/models", "", {{"Authorization", "Bearer " + key}});
    EXPECT_EQ(response.status, status) << escape_for_log(key);
  }
}

TEST(Auth, ComparesWholeKeys) {
  const std::string secret = "cl\xc3\xa9";
  EXPECT_TRUE(equal_in_constant_time(secret, secret));
  for (std::size_t at = 0; at < secret.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string other = secret;
      other[at] = static_cast<char>(other[at] ^ 1 << bit);
      EXPECT_FALSE(equal_in_constant_time(secret, other));
    }
  EXPECT_FALSE(equal_in_constant_time(secret, secret + secret));
  EXPECT_FALSE(equal_in_constant_time(secret, ""));
}

}  // namespace
}  // namespace pagoda
