// What the server tells of itself: its API, its configuration, its tokenizer, where KV events are.
#include "base/env.h"
#include "base/json.h"
#include "openai/api_description.h"
#include "server/auth.h"
#include "server/query.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {
namespace {

void answer_always(HttpServer* http, const char* path, HttpResponse response, RouteOptions options = {}) {
  http->on(
      "GET", path,
      [response = std::move(response)](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
        writer->send(response);
      },
      std::move(options));
}

Object system_info() {
  Object out;
  out.append("num_cpus", static_cast<int64_t>(allowed_cpus().size()));
  out.append("usable_memory_bytes", static_cast<int64_t>(usable_memory_bytes()));
  out.append("available_memory_bytes", static_cast<int64_t>(available_memory_bytes()));
  return out;
}

// vLLM's three members. Its configuration is a text unless JSON is asked for.
HttpResponse server_info(const RouteContext& context, bool as_json) {
  const ModelInfo& model = context.intake->model();
  Object config = context.config.settings;
  Array names(model.served_names.begin(), model.served_names.end());
  config.set("model", model.root);
  config.set("served_model_name", std::move(names));
  config.set("max_model_len", int64_t{model.max_model_len});
  config.set("version", context.config.version);
  Object out;
  if (as_json) {
    out.append("vllm_config", std::move(config));
  } else {
    std::string text;
    for (const Member& member : config)
      text += (text.empty() ? "" : ", ") + member.key + '=' + write_json(member.value);
    out.append("vllm_config", std::move(text));
  }
  out.append("vllm_env", context.config.environment);
  out.append("system_env", system_info());
  return json_response(write_json(Value(std::move(out))));
}

}  // namespace

void add_description_routes(HttpServer* http, RouteContext* context) {
  const ApiServerConfig& config = context->config;
  answer_always(http, "/kv_event_sources", json_response(write_json(Value(config.kv_event_sources))));
  if (config.enable_tokenizer_info)
    answer_always(http, "/tokenizer_info",
                  json_response(write_json(Value(context->intake->model().tokenizer_config))));
  if (config.dev_mode)
    http->on("GET", "/server_info", [context](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
      Result<std::string> format = query_choice(request, "config_format", "text", {"text", "json"});
      writer->send(format.ok() ? server_info(*context, *format == "json") : error_response(format.status()));
    });
}

void add_docs_routes(HttpServer* http, RouteContext* context) {
  if (!context->config.enable_docs) return;
  for (const char* path : {"/openapi.json", "/docs"}) answer_always(http, path, {});  // to be listed as well
  const RouteOptions open_to_all{.probe = true};  // without a key: no reason to keep a place
  ServedApi api = {context->config.version, {}};
  for (auto& [method, path] : http->routes())
    api.routes.push_back({method, path, !context->config.api_keys.empty() && needs_key(path)});
  answer_always(http, "/openapi.json", json_response(write_json(describe_api(api))), open_to_all);
  HttpResponse page;
  page.body = describe_api_as_html(api);
  page.content_type = "text/html; charset=utf-8";
  page.headers.emplace_back("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'");
  answer_always(http, "/docs", std::move(page), open_to_all);
}

}  // namespace pagoda
