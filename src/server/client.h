#pragma once
#include "contract/generate_request.h"
#include "http/message.h"
#include "server/api_server.h"

namespace pagoda {

// Says in the request who asks (for fair scheduling) and until when the answer is wanted, counted from `now`.
// A client is the API key where several are configured, else the request's `user`, as far as one believes it.
void stamp_request(const HttpRequest& http, const ApiServerConfig& config, Time now,
                   GenerateRequest* request);

}  // namespace pagoda
