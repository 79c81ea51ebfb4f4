#include "server/api_server.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "server/auth.h"
#include "server/caller.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {
namespace {

using Clock = std::chrono::steady_clock;
// What is left to do after the engine has ended: writing the last bytes to clients that take them.
constexpr std::chrono::milliseconds kFlushTime{500}, kPoll{5};

bool wait_until(Clock::time_point deadline, const std::function<bool()>& condition) {
  while (!condition()) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

}  // namespace

struct ApiServer::Impl {
  Impl(ApiServerConfig config, Intake* intake, Engine* engine, MetricsRegistry* metrics)
      : context{std::move(config), intake, engine, metrics, {}}, http(context.config.http) {
    http.before(
        [this](const HttpRequest& request) { return check_api_key(request, context.config.api_keys); });
    http.tenant([this](const HttpRequest& request) { return connection_tenant(request, context.config); });
    http.error_body(plain_error_body);
    // Left to itself the allocator keeps what a burst of large requests took: it learns to serve blocks of up
    // to 32 MiB from its heaps, leaves twice as much at their ends, and what many small blocks took goes back
    // only when one asks.
    ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
    ::mallopt(M_TRIM_THRESHOLD, 8 << 20);
    http.on_burst_over(
        [pool = intake->text_pool()] { static_cast<void>(pool->submit([] { ::malloc_trim(0); })); });
    add_completion_routes(&http, &context);
    add_models_routes(&http, &context);
    add_tokenize_routes(&http, &context);
    add_health_routes(&http, &context);
    add_control_routes(&http, &context);
    add_metrics_route(&http, &context);
    add_description_routes(&http, &context);
    add_docs_routes(&http, &context);
  }

  RouteContext context;
  HttpServer http;
};

ApiServer::ApiServer(ApiServerConfig config, Intake* intake, Engine* engine, MetricsRegistry* metrics)
    : impl_(std::make_unique<Impl>(std::move(config), intake, engine, metrics)) {}

ApiServer::~ApiServer() {
  impl_->http.stop();
  impl_->context.generations.clear();
}

Status ApiServer::bind() {
  return impl_->http.bind();
}
Status ApiServer::start() {
  return impl_->http.start();
}
int ApiServer::port() const {
  return impl_->http.port();
}

int ApiServer::num_requests() const {
  return impl_->http.num_requests();
}

bool ApiServer::drain_and_stop(double timeout_s) {
  auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(std::clamp(timeout_s, 0.0, 1e7)));
  Impl& impl = *impl_;
  impl.context.engine->stop_admission();
  impl.http.drain();
  const bool drained = wait_until(deadline, [&] { return impl.http.num_requests() == 0; });
  if (!drained) {
    const Status why(StatusCode::kUnavailable,
                     "The server is shutting down: the request was ended before its answer.");
    impl.context.generations.cut_off_all(why);  // streams hear of it in an event
    impl.http.cut_off(error_response(why));
  }
  wait_until(std::max(deadline, Clock::now() + kFlushTime), [&] { return impl.http.num_connections() == 0; });
  impl.http.stop();
  impl.context.generations.clear();
  return drained;
}

}  // namespace pagoda
