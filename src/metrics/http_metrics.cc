#include "metrics/http_metrics.h"

#include <algorithm>
#include <array>
#include <vector>

namespace pagoda {
namespace {

// The instrumentator's.
const std::vector<double> kFineBounds = {.01, .025, .05, .075, .1,  .25, .5,  .75, 1,  1.5, 2,
                                         2.5, 3,    3.5, 4,    4.5, 5,   7.5, 10,  30, 60};
const std::vector<double> kCoarseBounds = {.1, .5, 1};

std::string_view known_method(std::string_view method) {
  constexpr std::array<std::string_view, 7> kMethods = {"GET",    "HEAD",  "POST",   "PUT",
                                                        "DELETE", "PATCH", "OPTIONS"};
  return std::ranges::find(kMethods, method) != kMethods.end() ? method : "other";
}

}  // namespace

HttpMetrics::HttpMetrics(MetricsRegistry* registry)
    : registry_(registry),
      duration_(registry->histogram(
          "http_request_duration_highr_seconds",
          "Duration of all HTTP requests in seconds, to the last byte of the answer.", {}, kFineBounds)) {}

HttpMetrics::Route& HttpMetrics::route(std::string_view method, const std::string& handler, int status) {
  const std::string name(known_method(method)), status_class = std::to_string(status / 100) + "xx";
  auto [entry, is_new] = routes_.try_emplace(handler + ' ' + name + ' ' + status_class);
  if (!is_new) return entry->second;
  const Labels of_handler = {{"handler", handler}};
  entry->second = {
      &registry_->counter("http_requests", "Total number of requests by method, status and handler.",
                          {{"handler", handler}, {"method", name}, {"status", status_class}}),
      &registry_->summary("http_request_size_bytes", "Content length of incoming requests by handler.",
                          of_handler),
      &registry_->summary("http_response_size_bytes", "Bytes of outgoing responses by handler.", of_handler),
      &registry_->histogram("http_request_duration_seconds",
                            "Duration of HTTP requests in seconds, with few buckets, by handler.",
                            {{"handler", handler}, {"method", name}}, kCoarseBounds)};
  return entry->second;
}

void HttpMetrics::observe(std::string_view method, std::string_view handler, int status, double seconds,
                          uint64_t request_bytes, uint64_t response_bytes) {
  duration_.observe(seconds);
  std::lock_guard lock(mutex_);
  Route& entry = route(method, handler.empty() ? "none" : std::string(handler), status);
  entry.requests->add();
  entry.request_size->observe(static_cast<double>(request_bytes));
  entry.response_size->observe(static_cast<double>(response_bytes));
  entry.duration->observe(seconds);
}

}  // namespace pagoda
