// Cross-origin rules (WHATWG Fetch, section 3.2), answered as Starlette's CORSMiddleware does, since browser
// clients were written against that.
#pragma once
#include <optional>
#include <string>

#include "http/message.h"
#include "http/server.h"

namespace pagoda {

// The answer to a preflight request; nullopt if the request is none.
std::optional<HttpResponse> cors_preflight(const CorsConfig& config, const HttpRequest& request);
// Whether the page that asks may command this server: no page does, it is this server's own, or its origin is
// allowed.
bool origin_may_command(const CorsConfig& config, const HttpRequest& request);
// Header lines for the answer to any other request; empty without an Origin.
std::string cors_headers(const CorsConfig& config, const HttpRequest& request);

}  // namespace pagoda
