// HTTP requests in the words of prometheus-fastapi-instrumentator, which vLLM's dashboards read:
// http_requests_total{method,handler,status="2xx"}, sizes, and durations: finely for all, coarsely by
// handler.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "metrics/registry.h"

namespace pagoda {

class HttpMetrics {
 public:
  explicit HttpMetrics(MetricsRegistry* registry);

  // One answered request. `handler`: the route's pattern, empty where none was found; what comes from a
  // client (method, path) never makes a label of its own, so the number of series is bounded. Any thread.
  void observe(std::string_view method, std::string_view handler, int status, double seconds,
               uint64_t request_bytes, uint64_t response_bytes);

 private:
  struct Route {
    Counter* requests;
    Summary *request_size, *response_size;
    Histogram* duration;
  };
  Route& route(std::string_view method, const std::string& handler, int status);

  MetricsRegistry* const registry_;
  Histogram& duration_;
  std::mutex mutex_;
  std::map<std::string, Route> routes_;  // by handler, method and class of status
};

}  // namespace pagoda
