#pragma once
#include <string>
#include <string_view>

#include "contract/generate_request.h"
#include "http/message.h"
#include "server/api_server.h"

namespace pagoda {

// The part of a peer's address that one client cannot choose: without the port, and of IPv6 the network of 64
// bits that a subscriber gets. "unix" for a Unix socket.
std::string network_of(std::string_view remote_address);

// Whose places in the queue a request takes. A tenant is the API key where several are configured, else the
// peer's address; a source within it is the request's `user`, else its connection.
Tenant tenant_of(const HttpRequest& http, const ApiServerConfig& config, std::string_view user);

// Whose place among the connections it takes: a key's, where the request has one of ours, else the address's.
uint64_t connection_tenant(const HttpRequest& http, const ApiServerConfig& config);

// When the answer is no longer wanted; timeout_s: the request's own limit, 0 for none.
Time deadline_of(const ApiServerConfig& config, double timeout_s, Time now);

// Of a request that came at `now`. Its share of a fair schedule goes to the API key where several are
// configured, else to the request's `user`, as far as one believes it, else to the peer's address. `id` is
// the answer's.
RequestContext request_context(const HttpRequest& http, const ApiServerConfig& config, std::string id,
                               std::string_view user, double timeout_s, Time now);

}  // namespace pagoda
