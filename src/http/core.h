// What all connections of one server share and only read: the configuration, the routes, the hooks. Made by
// HttpServer; bodies in server.cc. Internal to this room.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_budget.h"
#include "http/byte_stream.h"
#include "http/places.h"
#include "http/server.h"

namespace pagoda {

struct ServerCore {
  HttpServerConfig config;
  struct Route {
    HttpHandler handler;
    RouteOptions options;
  };
  using Routes = std::map<std::string, std::map<std::string, Route>, std::less<>>;
  Routes routes;  // path → method → route
  std::vector<HttpFilter> filters;
  std::function<std::string(int, const std::string&)> error_writer;
  std::function<void(const HttpExchangeStats&)> observer;   // may be empty
  std::function<std::uint64_t(const HttpRequest&)> tenant;  // may be empty
  std::function<void()> on_burst_over;                      // may be empty
  std::shared_ptr<TlsContext> tls;                          // null: plain
  std::atomic<bool> draining{false}, stopping{false};
  std::atomic<int> num_requests{0};  // that are being answered
  Places places;
  std::shared_ptr<MemoryBudget> bodies = std::make_shared<MemoryBudget>();

  // An error that this room makes, with the hook's body.
  HttpResponse error(int status, const std::string& message) const;
  // The route of method and path, or null and the refusal.
  const Route* find_route(const HttpRequest& request, HttpResponse* refusal) const;
  // The path of the route that serves this one, by whatever method; empty: none.
  std::string_view route_of(const std::string& path) const;
  // The longest "/*" route above this path.
  Routes::const_iterator find_subtree(const std::string& path) const;
  // The path as the routes see it: without root_path, and without slashes at its end.
  std::string route_path(std::string path) const;
  bool logs_access(const std::string& path) const;
};

}  // namespace pagoda
