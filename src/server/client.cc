#include "server/client.h"

#include <algorithm>
#include <chrono>

#include "frontend/salt_hash.h"
#include "server/auth.h"

namespace pagoda {

void stamp_request(const HttpRequest& http, const ApiServerConfig& config, Time now,
                   GenerateRequest* request) {
  const bool keys_tell = config.api_keys.size() > 1;
  const std::string key(keys_tell ? presented_key(http) : std::string_view());
  request->client_key = hash_client(key, request->user);
  // Whoever has a key could name any user, so the weight is then the key's.
  auto weight = config.client_weights.find(keys_tell ? key : request->user);
  request->weight = weight == config.client_weights.end() ? 1 : weight->second;

  request->arrival = now;
  double limit_s = request->timeout_s;
  if (config.request_timeout_s > 0 && (limit_s <= 0 || config.request_timeout_s < limit_s))
    limit_s = config.request_timeout_s;
  constexpr double kForever = 1e9;  // more would overflow the clock
  if (limit_s > 0 && limit_s < kForever)
    request->deadline =
        now + std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(limit_s));
}

}  // namespace pagoda
