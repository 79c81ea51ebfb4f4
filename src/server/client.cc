#include "server/client.h"

#include <algorithm>
#include <chrono>

#include "frontend/salt_hash.h"
#include "server/auth.h"

namespace pagoda {

void stamp_request(const HttpRequest& http, const ApiServerConfig& config, Time now,
                   GenerateRequest* request) {
  const bool keys_tell = config.api_keys.size() > 1;
  // Whoever has a key could name any user, for a larger share: then the key is the client.
  const std::string client(keys_tell ? presented_key(http) : std::string_view(request->user));
  request->client_key = hash_client(client);
  auto weight = config.client_weights.find(client);
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
