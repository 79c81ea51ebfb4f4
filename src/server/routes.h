#pragma once
#include "http/server.h"
#include "server/api_server.h"
#include "server/generation.h"

namespace pagoda {

// What every route may use; outlives the HTTP server.
struct RouteContext {
  ApiServerConfig config;
  Intake* intake;
  Engine* engine;
  MetricsRegistry* metrics;
  GenerationSet generations;
};

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
