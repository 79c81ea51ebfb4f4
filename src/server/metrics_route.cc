#include "server/routes.h"

namespace pagoda {

void add_metrics_route(HttpServer* http, RouteContext* context) {
  http->on("GET", "/metrics", [context](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
    HttpResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = context->metrics->render();
    writer->send(std::move(response));
  });
}

}  // namespace pagoda
