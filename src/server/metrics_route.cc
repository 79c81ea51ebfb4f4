#include <algorithm>
#include <array>
#include <string_view>

#include "metrics/http_metrics.h"
#include "server/routes.h"

namespace pagoda {
namespace {

// Asked for by machines every few seconds: as in vLLM they do not drown the requests that matter.
constexpr std::array<std::string_view, 6> kNotCounted = {"/metrics", "/health",  "/ping",
                                                         "/load",    "/version", "/server_info"};

}  // namespace

void add_metrics_route(HttpServer* http, RouteContext* context) {
  http->on("GET", "/metrics",
           [context](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
             HttpResponse response;
             response.content_type = "text/plain; version=0.0.4; charset=utf-8";
             response.body = context->metrics->render();
             writer->send(std::move(response));
           },
           {.probe = true});
  http->observe([metrics = std::make_shared<HttpMetrics>(context->metrics)](const HttpExchangeStats& stats) {
    if (std::ranges::find(kNotCounted, stats.route) != kNotCounted.end()) return;
    metrics->observe(stats.method, stats.route, stats.status, stats.seconds, stats.request_bytes,
                     stats.response_bytes);
  });
}

}  // namespace pagoda
