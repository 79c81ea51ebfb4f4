#pragma once
#include <memory>
#include <string>
#include <utility>

#include "http/server.h"
#include "server/api_server.h"
#include "server/caller.h"
#include "server/generation.h"
#include "server/reply.h"

namespace pagoda {

// What every route may use; outlives the HTTP server.
struct RouteContext {
  ApiServerConfig config;
  Intake* intake;
  Engine* engine;
  MetricsRegistry* metrics;
  GenerationSet generations;
};

// A body up to this size is understood in well under a millisecond.
inline constexpr std::size_t kBodyParsedAtOnce = 64 * 1024;

template <class Parse>
auto parse_charged(const HttpRequest& request, const Parse& parse) {
  auto parsed = parse(request.body, request.memory.get());
  if (!parsed.ok() || request.memory == nullptr) return parsed;
  if (Status room = request.memory->hold(parsed->heap_bytes()); !room.ok()) parsed = std::move(room);
  return parsed;
}

// What the request took is given back before its client hears: the next try finds it.
inline void refuse_body(HttpRequest* request, const Status& why, ResponseWriter* writer) {
  HttpResponse answer = body_error_response(*request, why);
  std::string().swap(request->body);
  request->memory.reset();
  writer->send(std::move(answer));
}

// parse(body, memory) gives a Result; next(request, value, writer) goes on with it on the connection's
// thread, an error is answered. The request's memory is charged for the values while they are read, and from
// then on for what is kept of them. A large body is parsed on the text pool: an I/O thread has others to
// serve. Requires: `parse` holds nothing of the server, which may have ended by then.
template <class Parse, class Next>
void parse_body_then(RouteContext* context, HttpRequest request, std::shared_ptr<ResponseWriter> writer,
                     Parse parse, Next next) {
  if (request.body.size() <= kBodyParsedAtOnce) {
    auto parsed = parse_charged(request, parse);
    if (!parsed.ok()) return refuse_body(&request, parsed.status(), writer.get());
    return next(request, std::move(*parsed), std::move(writer));
  }
  const uint64_t turn = tenant_of(request, context->config, {}).key;
  auto kept = std::make_shared<HttpRequest>(std::move(request));
  auto work = [kept, writer, parse = std::move(parse), next = std::move(next)] {
    if (writer->closed()) return;
    auto parsed = parse_charged(*kept, parse);
    if (!parsed.ok()) return refuse_body(kept.get(), parsed.status(), writer.get());
    std::string().swap(kept->body);
    auto value = std::make_shared<decltype(parsed)>(std::move(parsed));
    writer->post([kept, writer, value, next] { next(*kept, std::move(**value), writer); });
  };
  auto failed = [writer](const Status& why) { writer->send(error_response(why)); };
  Status status = context->intake->text_pool()->submit(std::move(work), std::move(failed), turn);
  if (!status.ok()) writer->send(error_response(status));
}

// Each is a file of its own.
// POST /v1/chat/completions, /v1/completions
void add_completion_routes(HttpServer* http, RouteContext* context);
void add_models_routes(HttpServer* http, RouteContext* context);    // GET /v1/models, /v1/models/{id}
void add_tokenize_routes(HttpServer* http, RouteContext* context);  // POST /tokenize, /detokenize
void add_health_routes(HttpServer* http, RouteContext* context);    // /health, /ping, /version, /load
// /pause, /resume, /is_paused, /abort_requests, /sleep, /wake_up, /is_sleeping, /reset_prefix_cache: in
// developer mode, or where there are keys.
void add_control_routes(HttpServer* http, RouteContext* context);
void add_metrics_route(HttpServer* http, RouteContext* context);  // GET /metrics
// GET /kv_event_sources; /tokenizer_info and /server_info where the configuration has them.
void add_description_routes(HttpServer* http, RouteContext* context);
// GET /openapi.json, /docs: of all routes so far.
void add_docs_routes(HttpServer* http, RouteContext* context);

}  // namespace pagoda
