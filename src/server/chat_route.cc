#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {

void add_chat_route(HttpServer* http, RouteContext* context) {
  http->on("POST", "/v1/chat/completions",
           [context](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
             if (auto refusal = check_content_type(request)) return writer->send(std::move(*refusal));
             auto parsed = parse_chat_request(request.body, context->config.limits);
             if (!parsed.ok()) return writer->send(body_error_response(request, parsed.status()));
             Generation::begin(context, request, std::move(*parsed), std::move(writer));
           });
}

}  // namespace pagoda
