#include "http/cors.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "http/framing.h"
#include "http/response.h"

namespace pagoda {
namespace {

constexpr std::string_view kAllMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";
constexpr std::string_view kSafeHeaders[] = {"Accept", "Accept-Language", "Content-Language", "Content-Type"};

bool has(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::string join(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& item : list) out += (out.empty() ? "" : ", ") + item;
  return out;
}

bool headers_allowed(const CorsConfig& config, std::string_view requested) {
  while (!requested.empty()) {
    std::size_t comma = std::min(requested.find(','), requested.size());
    std::string_view name = trim_blanks(requested.substr(0, comma));
    auto same = [&](std::string_view allowed) { return equal_ignoring_case(allowed, name); };
    if (!name.empty() && std::none_of(std::begin(kSafeHeaders), std::end(kSafeHeaders), same) &&
        std::none_of(config.allowed_headers.begin(), config.allowed_headers.end(), same))
      return false;
    requested.remove_prefix(std::min(comma + 1, requested.size()));
  }
  return true;
}

std::string allowed_header_names(const CorsConfig& config) {
  std::vector<std::string> names(std::begin(kSafeHeaders), std::end(kSafeHeaders));
  names.insert(names.end(), config.allowed_headers.begin(), config.allowed_headers.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return join(names);
}

}  // namespace

std::optional<HttpResponse> cors_preflight(const CorsConfig& config, const HttpRequest& request) {
  auto origin = request.header("origin");
  auto method = request.header("access-control-request-method");
  if (request.method != "OPTIONS" || !origin || !method) return std::nullopt;
  HttpResponse response;
  response.content_type = "text/plain; charset=utf-8";
  std::string failures;
  auto fail = [&](const char* what) { failures += (failures.empty() ? "" : ", ") + std::string(what); };

  bool any_origin = has(config.allowed_origins, "*"), any_method = has(config.allowed_methods, "*");
  bool any_header = has(config.allowed_headers, "*");
  if (any_origin && !config.allow_credentials) {
    response.headers.emplace_back("access-control-allow-origin", "*");
  } else {
    response.headers.emplace_back("vary", "Origin");
    if (any_origin || has(config.allowed_origins, *origin))
      response.headers.emplace_back("access-control-allow-origin", std::string(*origin));
    else
      fail("origin");
  }
  bool method_ok = any_method
                       ? (", " + std::string(kAllMethods) + ",").find(", " + std::string(*method) + ",") !=
                             std::string::npos
                       : has(config.allowed_methods, *method);
  if (!method_ok) fail("method");
  response.headers.emplace_back("access-control-allow-methods",
                                any_method ? std::string(kAllMethods) : join(config.allowed_methods));
  response.headers.emplace_back("access-control-max-age", "600");
  auto requested = request.header("access-control-request-headers");
  if (!any_header) {
    response.headers.emplace_back("access-control-allow-headers", allowed_header_names(config));
    if (requested && !headers_allowed(config, *requested)) fail("headers");
  } else if (requested) {
    response.headers.emplace_back("access-control-allow-headers", std::string(*requested));
  }
  if (config.allow_credentials) response.headers.emplace_back("access-control-allow-credentials", "true");
  response.status = failures.empty() ? 200 : 400;
  response.body = failures.empty() ? "OK" : "Disallowed CORS " + failures;
  return response;
}

bool origin_may_command(const CorsConfig& config, const HttpRequest& request) {
  auto origin = request.header("origin");
  if (!origin || has(config.allowed_origins, "*") || has(config.allowed_origins, *origin)) return true;
  std::size_t scheme = origin->find("://");
  return scheme != std::string_view::npos &&
         equal_ignoring_case(origin->substr(scheme + 3), request.header("host").value_or(""));
}

std::string cors_headers(const CorsConfig& config, const HttpRequest& request) {
  auto origin = request.header("origin");
  std::string out;
  if (!origin) return out;
  bool any_origin = has(config.allowed_origins, "*");
  // A browser refuses "*" for a request that carries credentials.
  bool explicit_origin = any_origin ? config.allow_credentials || request.header("cookie").has_value()
                                    : has(config.allowed_origins, *origin);
  if (explicit_origin) {
    append_header(&out, "access-control-allow-origin", *origin);
    append_header(&out, "vary", "Origin");
  } else if (any_origin) {
    append_header(&out, "access-control-allow-origin", "*");
  }
  if (config.allow_credentials) append_header(&out, "access-control-allow-credentials", "true");
  return out;
}

}  // namespace pagoda
