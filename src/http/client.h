#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/message.h"

namespace pagoda {

// A small blocking HTTP/1.1 client for the command line and for tests: http://host:port/path, https:// (the
// server's certificate is checked against the system's roots), or unix:/socket:/path. One connection per
// request.
struct ClientRequest {
  std::string method = "GET", url, body;
  HttpHeaders headers;
  double timeout_s = 600;
  // Asked some twenty times a second while the answer is awaited; false hangs up (kIo). Empty: never.
  std::function<bool()> go_on;
};
// The whole answer. Errors kIo: refused, timed out, not HTTP.
Result<HttpResponse> http_request(const ClientRequest& request);
// Hands the body on as it arrives (decoded from chunks); on_data returns false to hang up. The result's body
// is empty unless the status is not 2xx.
Result<HttpResponse> http_stream(const ClientRequest& request,
                                 const std::function<bool(std::string_view)>& on_data);

}  // namespace pagoda
