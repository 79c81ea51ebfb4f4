#include "server/caller.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/keyed_hash.h"
#include "server/auth.h"

namespace pagoda {
namespace {

bool keys_tell(const ApiServerConfig& config) {
  return config.api_keys.size() > 1;
}

// 0 stands for no name.
uint64_t hash_name(std::string_view name) {
  return name.empty() ? 0 : std::max<uint64_t>(keyed_hash(HashPurpose::kTenant, name), 1);
}

uint32_t weight_of(const ApiServerConfig& config, const std::string& name) {
  auto weight = config.client_weights.find(name);
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
  // A caller without a key of its own is known by its address, which it can not invent as it can a user.
  const std::string name =
      keys_tell(config) ? std::string(presented_key(http)) : network_of(http.remote_address);
  const std::string source = user.empty() ? http.remote_address : fmt::format("user {}", user);
  return {.key = hash_name(name), .weight = weight_of(config, name), .source = hash_name(source)};
}

uint64_t connection_tenant(const HttpRequest& http, const ApiServerConfig& config) {
  if (has_key(http, config.api_keys)) return hash_name(presented_key(http));
  return hash_name(network_of(http.remote_address));
}

Time deadline_of(const ApiServerConfig& config, double timeout_s, Time now) {
  double limit_s = timeout_s;
  if (config.request_timeout_s > 0 && (limit_s <= 0 || config.request_timeout_s < limit_s))
    limit_s = config.request_timeout_s;
  constexpr double kForever = 1e9;  // more would overflow the clock
  if (limit_s <= 0 || limit_s >= kForever) return Time::max();
  return now + std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(limit_s));
}

RequestContext request_context(const HttpRequest& http, const ApiServerConfig& config, std::string id,
                               std::string_view user, double timeout_s, Time now) {
  // With a key one could name any user, for a larger share: then the key is the tenant.
  const std::string fair = keys_tell(config) ? std::string(presented_key(http))
                           : !user.empty()   ? std::string(user)
                                             : network_of(http.remote_address);
  RequestContext context;
  context.id = std::move(id);
  context.arrival = now;
  context.deadline = deadline_of(config, timeout_s, now);
  context.tenant = tenant_of(http, config, user);
  context.fair_tenant = {.key = hash_name(fair), .weight = weight_of(config, fair)};
  context.memory = http.memory;
  return context;
}

}  // namespace pagoda
