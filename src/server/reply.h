#pragma once
#include <optional>
#include <string>

#include "base/status.h"
#include "http/message.h"
#include "openai/api_error.h"

namespace pagoda {

HttpResponse json_response(std::string body);
// The error's JSON, its status and, where it says so, Retry-After.
HttpResponse error_response(const ApiError& error);
HttpResponse error_response(const Status& status);
// The body of an error that the http room makes itself.
std::string plain_error_body(int http_status, const std::string& message);

// Of a body that could not be read as what the route wants.
HttpResponse body_error_response(const HttpRequest& request, const Status& status);

// 400 unless the body is said to be JSON, or nothing is said of it.
std::optional<HttpResponse> check_content_type(const HttpRequest& request);

// X-Request-Id, or what the body asked for, or a random one.
std::string choose_request_id(const HttpRequest& request, const std::string& from_body);

}  // namespace pagoda
