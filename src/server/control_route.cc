// What operators ask of the engine. Nothing here waits: the engine answers between two of its steps.
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/log.h"
#include "http/cors.h"
#include "openai/requests.h"
#include "server/query.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {
namespace {

using Writer = std::shared_ptr<ResponseWriter>;

std::string member(const char* name, Value value) {
  Object out;
  out.append(name, std::move(value));
  return write_json(Value(std::move(out)));
}

// Answers when the engine is done.
Engine::Done answer_with(Writer writer, std::string body) {
  return [writer = std::move(writer), body = std::move(body)](const Status& status) {
    writer->send(status.ok() ? json_response(body) : error_response(status));
  };
}

// A page that an operator happens to look at must not command the server behind the operator's back: browsers
// send such a request, and only its answer is kept from the page.
std::optional<HttpResponse> refuse_other_pages(const RouteContext& context, const HttpRequest& request) {
  if (origin_may_command(context.config.http.cors, request)) return std::nullopt;
  return error_response(ApiError{403,
                                 "The page that sends this command is not of an allowed origin: see "
                                 "--allowed-origins",
                                 "PermissionDeniedError", "Origin"});
}

Result<PauseMode> query_mode(const HttpRequest& request, const char* otherwise) {
  PAGODA_TRY(std::string mode, query_choice(request, "mode", otherwise, {"abort", "wait", "keep"}));
  return mode == "keep" ? PauseMode::kKeep : mode == "wait" ? PauseMode::kWait : PauseMode::kAbort;
}

void pause(RouteContext* context, const HttpRequest& request, const Writer& writer) {
  Result<PauseMode> mode = query_mode(request, "abort");
  Result<bool> wait = query_bool(request, "wait_for_inflight_requests", false);  // the older way to say it
  Result<bool> clear_cache = query_bool(request, "clear_cache", true);
  for (const Status& status : {mode.status(), wait.status(), clear_cache.status()})
    if (!status.ok()) return writer->send(error_response(status));
  const PauseMode how = *wait && *mode == PauseMode::kAbort ? PauseMode::kWait : *mode;
  context->engine->pause(how, *clear_cache, answer_with(writer, member("status", "paused")));
}

// First it is paused: what is in flight ends, goes on to the end, or (unless told otherwise) waits. Level 0
// is no more than that. Until /wake_up, which resumes it.
void sleep(RouteContext* context, const HttpRequest& request, const Writer& writer) {
  Result<int64_t> level = query_int(request, "level", 1, 0, 2);
  Result<PauseMode> mode = query_mode(request, "keep");
  for (const Status& status : {level.status(), mode.status()})
    if (!status.ok()) return writer->send(error_response(status));
  Object out;
  out.append("status", "sleeping");
  out.append("level", *level);
  Engine::Done answer = answer_with(writer, write_json(Value(std::move(out))));
  if (*level == 0) return context->engine->pause(*mode, false, std::move(answer));
  auto then_sleep = [engine = context->engine, chosen = static_cast<int>(*level),
                     was_paused = context->engine->is_paused(),
                     answer = std::move(answer)](const Status& paused) {
    if (!paused.ok()) return answer(paused);
    engine->sleep(chosen, [=](const Status& status) {
      if (status.ok() || was_paused) return answer(status);
      engine->resume([=](const Status&) { answer(status); });  // it is awake, and goes on
    });
  };
  context->engine->pause(*mode, false, std::move(then_sleep));
}

// What it loads again are files of the server's own: where they are gone or others it is no fault of the
// command. Operators read the reason.
HttpResponse cannot_wake(const Status& status) {
  if (status.code() == StatusCode::kExhausted || status.code() == StatusCode::kUnavailable)
    return error_response(status);
  log_error("/wake_up: {}", status.message());
  return error_response(ApiError{500, status.message(), "InternalServerError", ""});
}

void wake_up(RouteContext* context, const HttpRequest& request, const Writer& writer) {
  Result<std::vector<std::string>> named =
      query_choices(request, "tags", {"weights", "kv_cache", "scheduling"});
  if (!named.ok()) return writer->send(error_response(named.status()));
  bool weights = false, kv_cache = false;  // "scheduling" comes back with the last of them
  for (const std::string& tag : *named) {
    weights |= tag == "weights";
    kv_cache |= tag == "kv_cache";
  }
  auto done = [engine = context->engine, writer, tags = *named](const Status& status) {
    if (!status.ok()) return writer->send(cannot_wake(status));
    const bool asleep = engine->is_sleeping();  // weights alone do not wake it
    Object out;
    out.append("status", asleep ? "sleeping" : "awake");
    out.append("tags", tags.empty() ? Value() : Value(Array(tags.begin(), tags.end())));
    Engine::Done answer = answer_with(writer, write_json(Value(std::move(out))));
    if (asleep) return answer({});
    engine->resume(std::move(answer));
  };
  context->engine->wake_up(weights || named->empty(), kv_cache || named->empty(), std::move(done));
}

void abort_requests(RouteContext* context, const HttpRequest& request, const Writer& writer) {
  if (auto refusal = check_content_type(request)) return writer->send(std::move(*refusal));
  auto ids = parse_abort_request(request.body);
  if (!ids.ok()) {
    ApiError error = to_api_error(ids.status());
    error.type = "Bad Request";
    return writer->send(error_response(error));
  }
  std::size_t count = 0;
  if (ids->has_value()) {
    context->generations.abort(**ids);
    count = (*ids)->size();  // as vLLM counts: those asked for
  } else {
    count = context->generations.abort_all();
  }
  Object out;
  out.append("status", "aborted");
  out.append("aborted", static_cast<int64_t>(count));
  writer->send(json_response(write_json(Value(std::move(out)))));
}

// Blocks of running sequences are uncached as well, and what is offloaded needs no forgetting: what it holds
// is found by the same names.
void reset_prefix_cache(RouteContext* context, const HttpRequest& request, const Writer& writer) {
  for (const char* name : {"reset_running_requests", "reset_external"})
    if (Result<bool> flag = query_bool(request, name, false); !flag.ok())
      return writer->send(error_response(flag.status()));
  context->engine->reset_prefix_cache(answer_with(writer, member("success", true)));
}

}  // namespace

void add_control_routes(HttpServer* http, RouteContext* context) {
  // Each can stop the server for all clients: they are there for developers, or behind keys.
  if (!context->config.dev_mode && context->config.api_keys.empty()) return;
  auto on = [=](const char* method, const char* path, auto handler) {
    RouteOptions options{.body_bytes_max = RouteOptions::kLittleBody};
    if (std::string_view(method) == "POST")
      options.check = [context](const HttpRequest& request) { return refuse_other_pages(*context, request); };
    http->on(
        method, path, [=](HttpRequest request, Writer writer) { handler(context, request, writer); },
        std::move(options));
  };
  on("POST", "/pause", pause);
  on("POST", "/resume", [](RouteContext* c, const HttpRequest&, const Writer& writer) {
    c->engine->resume(answer_with(writer, member("status", "resumed")));
  });
  on("GET", "/is_paused", [](RouteContext* c, const HttpRequest&, const Writer& writer) {
    writer->send(json_response(member("is_paused", c->engine->is_paused())));
  });
  on("POST", "/abort_requests", abort_requests);
  on("POST", "/reset_prefix_cache", reset_prefix_cache);
  on("POST", "/sleep", sleep);
  on("POST", "/wake_up", wake_up);
  on("GET", "/is_sleeping", [](RouteContext* c, const HttpRequest&, const Writer& writer) {
    const bool asleep = c->engine->is_sleeping() || c->engine->is_paused();  // at any level, 0 too
    writer->send(json_response(member("is_sleeping", asleep)));
  });
}

}  // namespace pagoda
