#include "server/client.h"

#include <gtest/gtest.h>

#include <set>

namespace pagoda {
namespace {

GenerateRequest stamped(const ApiServerConfig& config, const char* key, const char* user,
                        double timeout_s = 0) {
  HttpRequest http;
  if (*key != 0) http.headers.emplace_back("Authorization", std::string("Bearer ") + key);
  GenerateRequest request;
  request.user = user;
  request.timeout_s = timeout_s;
  stamp_request(http, config, Time{} + std::chrono::hours(1), &request);
  return request;
}

TEST(Client, IsTheKeyWhereSeveralTellThemApartElseTheUser) {
  ApiServerConfig open, one, two;
  one.api_keys = {"k1"};
  two.api_keys = {"k1", "k2"};
  EXPECT_EQ(stamped(open, "", "").client_key, 0u);
  EXPECT_EQ(stamped(one, "k1", "").client_key, 0u) << "everybody has it";
  std::set<uint64_t> keys = {stamped(open, "", "ann").client_key, stamped(open, "", "bob").client_key,
                             stamped(two, "k1", "").client_key, stamped(two, "k2", "").client_key};
  EXPECT_EQ(keys.size(), 4u);
  EXPECT_FALSE(keys.contains(0));
  EXPECT_EQ(stamped(two, "k1", "ann").client_key, stamped(two, "k1", "bob").client_key)
      << "users can be invented";
  EXPECT_EQ(stamped(open, "", "ann").client_key, stamped(one, "k1", "ann").client_key);
}

TEST(Client, WeightsGoByWhatCanBeBelieved) {
  ApiServerConfig open, two;
  open.client_weights = two.client_weights = {{"k1", 5}, {"ann", 3}};
  two.api_keys = {"k1", "k2"};
  EXPECT_EQ(stamped(open, "", "ann").weight, 3u);
  EXPECT_EQ(stamped(open, "", "bob").weight, 1u);
  EXPECT_EQ(stamped(two, "k1", "bob").weight, 5u);
  EXPECT_EQ(stamped(two, "k2", "ann").weight, 1u) << "anybody could say so";
}

TEST(Client, TheSmallerTimeLimitCounts) {
  struct Case {
    double server_s, request_s, expected_s;  // 0: none
  } cases[] = {{0, 0, 0}, {5, 0, 5}, {0, 7, 7}, {5, 7, 5}, {9, 7, 7}, {0, 0.25, 0.25}, {0, 1e300, 0}};
  for (const Case& one : cases) {
    ApiServerConfig config;
    config.request_timeout_s = one.server_s;
    GenerateRequest request = stamped(config, "", "", one.request_s);
    EXPECT_EQ(request.arrival, Time{} + std::chrono::hours(1));
    if (one.expected_s == 0)
      EXPECT_EQ(request.deadline, Time::max());
    else
      EXPECT_NEAR(std::chrono::duration<double>(request.deadline - request.arrival).count(), one.expected_s,
                  1e-6);
  }
}

}  // namespace
}  // namespace pagoda
