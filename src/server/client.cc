#include "server/client.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <chrono>

#include "frontend/salt_hash.h"
#include "server/auth.h"

namespace pagoda {
namespace {

bool keys_tell(const ApiServerConfig& config) {
  return config.api_keys.size() > 1;
}

uint32_t weight_of(const ApiServerConfig& config, const std::string& client) {
  auto weight = config.client_weights.find(client);
  return weight == config.client_weights.end() ? 1 : weight->second;
}

}  // namespace

std::string network_of(std::string_view remote_address) {
  std::string_view host = remote_address.substr(0, remote_address.rfind(':'));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const std::string text(host.substr(0, host.find('%')));  // without an interface
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return std::string(host);
  std::string network;
  for (int i = 0; i < 8; ++i) network += fmt::format("{:02x}", bytes[static_cast<std::size_t>(i)]);
  return network + "/64";
}

Tenant tenant_of(const HttpRequest& http, const ApiServerConfig& config, std::string_view user) {
  // Whoever has no key of its own is known by where it comes from, which it can not invent as it can a user.
  const std::string name =
      keys_tell(config) ? std::string(presented_key(http)) : network_of(http.remote_address);
  const std::string source = user.empty() ? http.remote_address : fmt::format("user {}", user);
  return {.key = hash_client(name), .weight = weight_of(config, name), .source = hash_client(source)};
}

uint64_t connection_tenant(const HttpRequest& http, const ApiServerConfig& config) {
  if (has_key(http, config.api_keys)) return hash_client(presented_key(http));
  return hash_client(network_of(http.remote_address));
}

Time deadline_of(const ApiServerConfig& config, double timeout_s, Time now) {
  double limit_s = timeout_s;
  if (config.request_timeout_s > 0 && (limit_s <= 0 || config.request_timeout_s < limit_s))
    limit_s = config.request_timeout_s;
  constexpr double kForever = 1e9;  // more would overflow the clock
  if (limit_s <= 0 || limit_s >= kForever) return Time::max();
  return now + std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(limit_s));
}

void stamp_request(const HttpRequest& http, const ApiServerConfig& config, Time now,
                   GenerateRequest* request) {
  // Whoever has a key could name any user, for a larger share: then the key is the client.
  const std::string client = keys_tell(config)        ? std::string(presented_key(http))
                             : !request->user.empty() ? request->user
                                                      : network_of(http.remote_address);
  request->client_key = hash_client(client);
  request->weight = weight_of(config, client);
  request->tenant = tenant_of(http, config, request->user);
  request->arrival = now;
  request->deadline = deadline_of(config, request->timeout_s, now);
}

}  // namespace pagoda
