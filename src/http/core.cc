#include "http/core.h"

#include <algorithm>
#include <utility>

namespace pagoda {

HttpResponse ServerCore::error(int status, const std::string& message) const {
  HttpResponse response;
  response.status = status;
  if (status == 503) response.headers.emplace_back("retry-after", "1");  // too much of something, just now
  if (error_writer) {
    response.body = error_writer(status, message);
  } else {
    response.body = message + "\n";
    response.content_type = "text/plain; charset=utf-8";
  }
  return response;
}

const ServerCore::Route* ServerCore::find_route(const HttpRequest& request, HttpResponse* refusal) const {
  auto route = routes.find(request.path);
  if (route == routes.end()) route = find_subtree(request.path);
  if (route == routes.end()) {
    *refusal = error(404, "Not Found");
    return nullptr;
  }
  const auto& methods = route->second;
  auto found = methods.find(request.method);
  if (found == methods.end() && request.method == "HEAD") found = methods.find("GET");
  if (found != methods.end()) return &found->second;
  *refusal = error(405, "Method Not Allowed");
  std::string allow;
  for (const auto& [method, unused] : methods) allow += (allow.empty() ? "" : ", ") + method;
  if (methods.count("GET") && !methods.count("HEAD")) allow += ", HEAD";
  refusal->headers.emplace_back("allow", allow);
  return nullptr;
}

std::string_view ServerCore::route_of(const std::string& path) const {
  auto route = routes.find(path);
  if (route == routes.end()) route = find_subtree(path);
  return route == routes.end() ? std::string_view() : route->first;
}

ServerCore::Routes::const_iterator ServerCore::find_subtree(const std::string& path) const {
  auto best = routes.end();
  for (auto route = routes.begin(); route != routes.end(); ++route) {
    const std::string& pattern = route->first;
    if (pattern.size() < 2 || pattern.compare(pattern.size() - 2, 2, "/*") != 0) continue;
    bool below = path.size() >= pattern.size() &&
                 path.compare(0, pattern.size() - 1, pattern, 0, pattern.size() - 1) == 0;
    if (below && (best == routes.end() || pattern.size() > best->first.size())) best = route;
  }
  return best;
}

std::string ServerCore::route_path(std::string path) const {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string_view root = config.root_path;
  while (!root.empty() && root.back() == '/') root.remove_suffix(1);
  if (root.empty() || path.compare(0, root.size(), root) != 0) return path;
  if (path.size() == root.size()) return "/";
  if (path[root.size()] == '/') path.erase(0, root.size());
  return path;
}

bool ServerCore::logs_access(const std::string& path) const {
  const auto& excluded = config.access_log_excluded_paths;
  return config.access_log && std::find(excluded.begin(), excluded.end(), path) == excluded.end();
}

}  // namespace pagoda
