#include "server/parse_body.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {

void add_chat_route(HttpServer* http, RouteContext* context) {
  auto parse = [limits = context->config.limits](std::string_view body) {
    return parse_chat_request(body, limits);
  };
  auto begin = [context](const HttpRequest& asked, GenerateRequest request,
                         std::shared_ptr<ResponseWriter> writer) {
    Generation::begin(context, asked, std::move(request), std::move(writer));
  };
  auto on_request = [=](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
    parse_body_then(context, std::move(request), std::move(writer), parse, begin);
  };
  http->on("POST", "/v1/chat/completions", on_request, {.judge = check_content_type});
}

}  // namespace pagoda
