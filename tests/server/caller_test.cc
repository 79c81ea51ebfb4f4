#include "server/caller.h"

#include <gtest/gtest.h>

#include <set>

namespace pagoda {
namespace {

RequestContext context_of(const ApiServerConfig& config, const char* key, const char* user,
                          double timeout_s = 0, const char* address = "") {
  HttpRequest http;
  http.remote_address = address;
  if (*key != 0) http.headers.emplace_back("Authorization", std::string("Bearer ") + key);
  return request_context(http, config, "id", user, timeout_s, Time{} + std::chrono::hours(1));
}

TEST(Caller, IsTheKeyWhereSeveralTellThemApartElseTheUser) {
  ApiServerConfig open, one, two;
  one.api_keys = {"k1"};
  two.api_keys = {"k1", "k2"};
  EXPECT_EQ(context_of(open, "", "").fair_tenant.key, 0u);
  EXPECT_EQ(context_of(one, "k1", "").fair_tenant.key, 0u) << "all callers have it";
  std::set<uint64_t> keys = {
      context_of(open, "", "ann").fair_tenant.key, context_of(open, "", "bob").fair_tenant.key,
      context_of(two, "k1", "").fair_tenant.key, context_of(two, "k2", "").fair_tenant.key};
  EXPECT_EQ(keys.size(), 4u);
  EXPECT_FALSE(keys.contains(0));
  EXPECT_EQ(context_of(two, "k1", "ann").fair_tenant.key, context_of(two, "k1", "bob").fair_tenant.key)
      << "users can be invented";
  EXPECT_EQ(context_of(open, "", "ann").fair_tenant.key, context_of(one, "k1", "ann").fair_tenant.key);
}

TEST(Caller, AnAddressIsAClientWhereNothingElseTellsThemApart) {
  ApiServerConfig open, two;
  two.api_keys = {"k1", "k2"};
  auto client = [&](const char* user, const char* address) {
    return context_of(open, "", user, 0, address).fair_tenant.key;
  };
  EXPECT_EQ(client("", "10.0.0.1:1000"), client("", "10.0.0.1:2000"));
  EXPECT_NE(client("", "10.0.0.1:1000"), client("", "10.0.0.2:1000"));
  EXPECT_EQ(client("ann", "10.0.0.1:1000"), client("ann", "10.0.0.2:1000"));
  EXPECT_EQ(context_of(two, "k1", "", 0, "10.0.0.1:1").fair_tenant.key,
            context_of(two, "k1", "", 0, "10.0.0.2:1").fair_tenant.key);
}

TEST(Caller, NetworksOfAddresses) {
  struct Case {
    const char *address, *network;
  } cases[] = {{"127.0.0.1:50312", "127.0.0.1"},
               {"[::1]:80", "0000000000000000/64"},
               {"[2001:db8:1:2:3::4]:80", "20010db800010002/64"},
               {"[2001:db8:1:2:ffff::9]:81", "20010db800010002/64"},
               {"[2001:db8:1:3::4]:80", "20010db800010003/64"},
               {"[fe80::1%eth0]:80", "fe80000000000000/64"},
               {"unix", "unix"},
               {"", ""}};
  for (const Case& one : cases) EXPECT_EQ(network_of(one.address), one.network) << one.address;
}

TEST(Caller, TenantsOfTheQueueCanNotBeInvented) {
  ApiServerConfig open, one, two;
  one.api_keys = {"k1"};
  two.api_keys = {"k1", "k2"};
  two.client_weights = {{"k2", 4}};
  auto tenant = [](const ApiServerConfig& config, const char* key, const char* user, const char* address) {
    return context_of(config, key, user, 0, address).tenant;
  };
  for (const ApiServerConfig* config : {&open, &one}) {
    const Tenant a = tenant(*config, "k1", "ann", "10.0.0.1:1"),
                 b = tenant(*config, "k1", "bob", "10.0.0.1:2");
    EXPECT_EQ(a.key, b.key) << "users can be invented, addresses can not";
    EXPECT_NE(a.source, b.source);
    EXPECT_EQ(a.source, tenant(*config, "k1", "ann", "10.0.0.1:9").source);
    EXPECT_NE(a.key, tenant(*config, "k1", "ann", "10.0.0.2:1").key);
    EXPECT_NE(tenant(*config, "k1", "", "10.0.0.1:1").source, tenant(*config, "k1", "", "10.0.0.1:2").source)
        << "connections";
  }
  EXPECT_EQ(tenant(two, "k1", "ann", "10.0.0.1:1").key, tenant(two, "k1", "bob", "10.0.0.2:1").key);
  EXPECT_NE(tenant(two, "k1", "ann", "10.0.0.1:1").key, tenant(two, "k2", "ann", "10.0.0.1:1").key);
  EXPECT_EQ(tenant(two, "k2", "", "10.0.0.1:1").weight, 4u);
}

TEST(Caller, WeightsGoByWhatCanBeBelieved) {
  ApiServerConfig open, two;
  open.client_weights = two.client_weights = {{"k1", 5}, {"ann", 3}};
  two.api_keys = {"k1", "k2"};
  EXPECT_EQ(context_of(open, "", "ann").fair_tenant.weight, 3u);
  EXPECT_EQ(context_of(open, "", "bob").fair_tenant.weight, 1u);
  EXPECT_EQ(context_of(two, "k1", "bob").fair_tenant.weight, 5u);
  EXPECT_EQ(context_of(two, "k2", "ann").fair_tenant.weight, 1u) << "any caller could say so";
}

TEST(Caller, TheSmallerTimeLimitCounts) {
  struct Case {
    double server_s, request_s, expected_s;  // 0: none
  } cases[] = {{0, 0, 0}, {5, 0, 5}, {0, 7, 7}, {5, 7, 5}, {9, 7, 7}, {0, 0.25, 0.25}, {0, 1e300, 0}};
  for (const Case& one : cases) {
    ApiServerConfig config;
    config.request_timeout_s = one.server_s;
    RequestContext request = context_of(config, "", "", one.request_s);
    EXPECT_EQ(request.arrival, Time{} + std::chrono::hours(1));
    if (one.expected_s == 0)
      EXPECT_EQ(request.deadline, Time::max());
    else
      EXPECT_NEAR(std::chrono::duration<double>(request.deadline - request.arrival).count(), one.expected_s,
                  1e-6);
  }
}

TEST(ConnectionTenant, IsAKeyOfOursElseTheAddress) {
  ApiServerConfig config;
  config.api_keys = {"k1", "k2"};
  auto tenant = [&](const char* authorization, const char* address) {
    HttpRequest http;
    http.remote_address = address;
    if (*authorization != '\0') http.headers.emplace_back("authorization", authorization);
    return connection_tenant(http, config);
  };
  const uint64_t stranger = tenant("", "10.0.0.1:1");
  EXPECT_EQ(tenant("Bearer k1", "10.0.0.1:1"), tenant("Bearer k1", "10.0.0.2:2"));
  EXPECT_NE(tenant("Bearer k1", "10.0.0.1:1"), tenant("Bearer k2", "10.0.0.1:1"));
  EXPECT_NE(tenant("Bearer k1", "10.0.0.1:1"), stranger);
  EXPECT_EQ(tenant("Bearer invented", "10.0.0.1:2"), stranger);
  EXPECT_EQ(tenant("Bearer ", "10.0.0.1:2"), stranger);
  EXPECT_NE(tenant("", "10.0.0.2:1"), stranger);
  EXPECT_EQ(tenant("", "[2001:db8::1]:1"), tenant("", "[2001:db8::2]:1"));
  config.api_keys.clear();
  EXPECT_EQ(tenant("Bearer k1", "10.0.0.1:3"), stranger) << "a key counts for nothing where there are none";
}

}  // namespace
}  // namespace pagoda
