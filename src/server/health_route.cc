#include "base/json.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {
namespace {

// An empty body, as probes expect; 503 once the engine is dead, or while it hangs.
HttpResponse health(const RouteContext& context) {
  const double stall_timeout_s = context.config.stall_timeout_s;
  const bool hangs = stall_timeout_s > 0 && context.engine->stalled_s() > stall_timeout_s;
  HttpResponse response;
  response.status = context.engine->is_healthy() && !hangs ? 200 : 503;
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
    writer->send(health(*context));
  };
  const RouteOptions probe{.probe = true, .body_bytes_max = RouteOptions::kLittleBody};
  http->on("GET", "/health", on_health, probe);
  http->on("GET", "/ping", on_health, probe);
  http->on("POST", "/ping", on_health, probe);
  http->on(
      "GET", "/version",
      [context](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
        writer->send(single_member("version", context->config.version));
      },
      probe);
  http->on(
      "GET", "/load",
      [context](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
        writer->send(single_member("server_load", static_cast<int64_t>(context->generations.size())));
      },
      probe);
}

}  // namespace pagoda
