#include "server/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <random>

#include "base/log.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "openai/responses.h"

namespace pagoda {
namespace {

constexpr std::size_t kRequestIdMax = 256;

// Unique, not secret.
std::string random_id() {
  static std::mutex mutex;
  static SplitMix64 source([] {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32) | device();
  }());
  std::lock_guard lock(mutex);
  uint64_t high = source.next();
  return fmt::format("{:016x}{:016x}", high, source.next());
}

}  // namespace

HttpResponse json_response(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response = json_response(write_error(error));
  response.status = error.http_status;
  if (error.retry_after_s > 0)
    response.headers.emplace_back("retry-after", std::to_string(error.retry_after_s));
  return response;
}

HttpResponse error_response(const Status& status) {
  return error_response(to_api_error(status));
}

HttpResponse body_error_response(const HttpRequest& request, const Status& status) {
  if (is_valid_utf8(request.body)) return error_response(status);
  HttpResponse response = json_response(write_detail("There was an error parsing the body"));
  response.status = 400;
  return response;
}

std::string plain_error_body(int http_status, const std::string& message) {
  if (http_status == 404) return write_detail("Not Found");
  if (http_status == 405) return write_detail("Method Not Allowed");
  const char* type = http_status == 413   ? "PayloadTooLargeError"
                     : http_status == 503 ? "ServiceUnavailableError"
                     : http_status >= 500 ? "InternalServerError"
                                          : "BadRequestError";
  return write_error({http_status, message, type, ""});
}

std::optional<HttpResponse> check_content_type(const HttpRequest& request) {
  std::string_view header = request.header("content-type").value_or("");
  std::string type(header.substr(0, header.find(';')));
  std::transform(type.begin(), type.end(), type.begin(), lower_case);
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
  if (type == "application/json" || type.empty()) return std::nullopt;
  return error_response(
      ApiError{400,
               fmt::format("Unsupported Media Type: Only 'application/json' is allowed, got '{}': send the "
                           "header 'Content-Type: application/json'",
                           type.substr(0, 100)),
               "Bad Request", ""});
}

std::string choose_request_id(const HttpRequest& request, const std::string& from_body) {
  // It goes into log lines and back to the client: it shows all that it holds.
  auto is_fit = [](std::string_view id) {
    return !id.empty() && id.size() <= kRequestIdMax && escape_for_log(id) == id;
  };
  std::string_view header = request.header("x-request-id").value_or("");
  if (is_fit(header)) return std::string(header);
  return is_fit(from_body) ? from_body : random_id();
}

}  // namespace pagoda
