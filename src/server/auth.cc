#include "server/auth.h"

#include <algorithm>
#include <array>

namespace pagoda {
namespace {

// What probes, balancers and Prometheus ask for without a key, and what tells nothing of requests.
// Everything else wants one, also where vLLM does not ask (it guards /v1, /v2, /inference and /cohere alone):
// tokenizing costs as much as a prompt, and to command the server is more than to generate.
constexpr std::array<std::string_view, 7> kOpen = {"/health",  "/ping", "/version",     "/load",
                                                   "/metrics", "/docs", "/openapi.json"};

// The token of "Bearer TOKEN"; empty if it is anything else. The scheme's case does not matter (RFC
// 9110, 11.1).
std::string_view bearer_token(std::string_view header) {
  constexpr std::string_view kScheme = "bearer ";
  if (!equal_ignoring_case(header.substr(0, kScheme.size()), kScheme)) return {};
  header.remove_prefix(kScheme.size());
  while (!header.empty() && header.front() == ' ') header.remove_prefix(1);
  return header;
}

}  // namespace

bool equal_in_constant_time(std::string_view secret, std::string_view given) {
  std::size_t difference = secret.size() ^ given.size();
  for (std::size_t i = 0; i < given.size() && !secret.empty(); ++i)
    difference |=
        static_cast<unsigned char>(secret[i % secret.size()]) ^ static_cast<unsigned char>(given[i]);
  return difference == 0;
}

std::string_view presented_key(const HttpRequest& request) {
  return bearer_token(request.header("authorization").value_or(""));
}

bool needs_key(std::string_view path) {
  if (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::find(kOpen.begin(), kOpen.end(), path) == kOpen.end();
}

bool has_key(const HttpRequest& request, const std::vector<std::string>& keys) {
  std::string_view token = presented_key(request);
  bool known = false;
  for (const std::string& key : keys) known |= equal_in_constant_time(key, token);  // all of them, always
  return known && !token.empty();
}

std::optional<HttpResponse> check_api_key(const HttpRequest& request, const std::vector<std::string>& keys) {
  if (keys.empty() || request.method == "OPTIONS" || !needs_key(request.path)) return std::nullopt;
  if (has_key(request, keys)) return std::nullopt;
  HttpResponse response;
  response.status = 401;
  response.headers.emplace_back("www-authenticate", "Bearer");
  response.body = R"({"error":"Unauthorized"})";
  return response;
}

}  // namespace pagoda
