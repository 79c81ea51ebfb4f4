#include "base/json.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {
namespace {

// An empty body, as probes expect; 503 once the engine is dead.
HttpResponse health(const Engine& engine) {
  HttpResponse response;
  response.status = engine.is_healthy() ? 200 : 503;
  return response;
}

HttpResponse single_member(const char* name, Value value) {
  Object out;
  out.append(name, std::move(value));
  return json_response(write_json(Value(std::move(out))));
}

}  // namespace

void add_health_routes(HttpServer* http, RouteContext* context) {
  auto on_health = [context](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
    writer->send(health(*context->engine));
  };
  http->on("GET", "/health", on_health);
  http->on("GET", "/ping", on_health);
  http->on("POST", "/ping", on_health);
  http->on("GET", "/version", [context](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
    writer->send(single_member("version", context->config.version));
  });
  http->on("GET", "/load", [context](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
    writer->send(single_member("server_load", static_cast<int64_t>(context->generations.size())));
  });
}

}  // namespace pagoda
